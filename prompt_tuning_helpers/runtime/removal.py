"""Deleting what consists of more than one record, and the files that go with them."""

from .context import Runtime


def remove_training(runtime: Runtime, training_id: str) -> None:
    """Delete a training's record, then end its process and delete its files."""
    runtime.trainings.delete(training_id)
    runtime.jobs.remove(training_id)


def remove_project(runtime: Runtime, project_id: str, keep: bool = False) -> None:
    """Delete a project with all it holds; the files of the records that were deleted, and no others, go with it.

    Args:
        runtime: whose project it is.
        project_id: of the project.
        keep: leave the project itself, empty.
    """
    with runtime.database.transaction():
        # Deployments come first: a model that is deployed cannot be deleted.
        runtime.deployments.delete_all(project_id)
        models = runtime.models.delete_all(project_id)
        trainings = runtime.trainings.delete_all(project_id)
        attachments = runtime.assets.delete_all(project_id)
        if not keep:
            runtime.projects.delete(project_id)
    for training in trainings:
        runtime.jobs.remove(training.id)
    for attachment in attachments:
        runtime.assets.remove_content(attachment)
    # A model may lie in its place before it is recorded, under the id that its training has for it.
    for model in {*models, *(training.model_id for training in trainings)}:
        runtime.models.remove_soft_prompt(model)
