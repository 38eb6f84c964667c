"""Deleting what consists of more than one record, and the files that go with them."""

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
