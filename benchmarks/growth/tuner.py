"""A tuning of the tiny model through the SDK, which is measured and copied."""

from typing import Any

from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment

from prompt_tuning_helpers.connection import Connection


def client_and_tuner(connection: Connection, **parameters: Any) -> tuple[Any, Any]:
    """Make a client, and a tuner that is yet to run.

    Args:
        connection: to a runtime that serves the tiny model.
        parameters: of ``TuneExperiment.prompt_tuner``.
    """
    client = APIClient(connection.credentials, project_id=connection.project_id)
    experiment: Any = TuneExperiment(connection.credentials, project_id=connection.project_id)
    tuner = experiment.prompt_tuner(
        name="growth",
        task_id=experiment.Tasks.CLASSIFICATION,
        base_model="local/tiny-random-llama",
        **parameters,
    )
    return client, tuner
