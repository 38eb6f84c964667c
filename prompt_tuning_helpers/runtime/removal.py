"""Deleting what consists of more than one record, and clearing files that no record names any more."""

import shutil

from .context import Runtime

MANY = 2**31


def remove_training(runtime: Runtime, training_id: str) -> None:
    """Delete a training's record, then end its process and delete its files."""
    runtime.trainings.delete(training_id)
    runtime.jobs.remove(training_id)


def remove_project(runtime: Runtime, project_id: str, keep: bool = False) -> None:
    """Delete a project with all it holds; its files go once no record names them.

    Args:
        keep: leave the project itself, empty.
    """
    trainings, _ = runtime.trainings.page(project_id, MANY)
    if keep:
        runtime.projects.empty(project_id)
    else:
        runtime.projects.delete(project_id)
    for training in trainings:
        runtime.jobs.remove(training.id)
    remove_orphans(runtime, keep_new=True)


def remove_orphans(runtime: Runtime, keep_new: bool = False) -> None:
    """Delete files that no record names, as an interrupted call leaves them.

    Args:
        keep_new: leave the folders of jobs alone, one of which may be about to get its record.
    """
    rows = runtime.database.rows
    attachments = {row["id"] for row in rows("SELECT id FROM attachments")}
    models = {row["id"] for row in rows("SELECT id FROM models UNION SELECT model_id FROM trainings")}
    trainings = {row["id"] for row in rows("SELECT id FROM trainings")}
    for blob in runtime.state.blobs.iterdir():
        if blob.name not in attachments and not blob.name.startswith("."):
            blob.unlink(missing_ok=True)
    folders = [(runtime.state.models, models)]
    if not keep_new:
        folders.append((runtime.state.jobs, trainings))
    for parent, known in folders:
        for folder in parent.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
