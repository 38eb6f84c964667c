"""Deleting what consists of more than one record, and clearing files that no record names any more."""

import shutil

from .context import Runtime


def remove_training(runtime: Runtime, training_id: str) -> None:
    """Delete a training's record, then end its process and delete its files."""
    runtime.trainings.delete(training_id)
    runtime.jobs.remove(training_id)


def remove_project(runtime: Runtime, project_id: str, keep: bool = False) -> None:
    """Delete a project with all it holds; the files of the records that were deleted, and no others, go with it.

    Args:
        keep: leave the project itself, empty.
    """
    removed = runtime.projects.empty(project_id) if keep else runtime.projects.delete(project_id)
    for training in removed.trainings:
        runtime.jobs.remove(training)
    for attachment in removed.attachments:
        runtime.assets.remove_content(attachment)
    for model in removed.models:
        shutil.rmtree(runtime.models.soft_prompt(model), ignore_errors=True)


def remove_orphans(runtime: Runtime) -> None:
    """Delete files that no record names, as an interrupted call leaves them; only while no call is under way."""
    rows = runtime.database.rows
    attachments = {row["id"] for row in rows("SELECT id FROM attachments")}
    models = {row["id"] for row in rows("SELECT id FROM models UNION SELECT model_id FROM trainings")}
    trainings = {row["id"] for row in rows("SELECT id FROM trainings")}
    for blob in runtime.state.blobs.iterdir():
        if blob.name not in attachments and not blob.name.startswith("."):
            blob.unlink(missing_ok=True)
    for parent, known in ((runtime.state.models, models), (runtime.state.jobs, trainings)):
        for folder in parent.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
