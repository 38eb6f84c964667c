"""Where the suite runs and on which models, and the removal of all it made there."""

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import pytest
from ibm_watsonx_ai import Credentials

from prompt_tuning_helpers import choose_base_model, clean_up, connect, unique_serving_name
from prompt_tuning_helpers.base_models import NoTunableModelError
from prompt_tuning_helpers.connection import ConnectionSetupError
from prompt_tuning_helpers.runtime.endpoint import Endpoint

TINY = "local/tiny-random-llama"
# What the suite makes has a name that starts so, wherever it runs: by that it is found again and deleted.
NAME = unique_serving_name("conformance")
LEAVING = {"deprecated", "constricted", "withdrawn"}


@dataclass(frozen=True)
class Service:
    """What the suite talks to.

    Args:
        endpoint: of the local runtime; ``None`` on an account.
    """

    credentials: Any
    project_id: str
    endpoint: Endpoint | None = None


def on_account(config: pytest.Config) -> bool:
    """Whether the suite is to run on the account that the environment names."""
    return bool(config.getoption("markexpr") == "watsonx")


def make_credentials(endpoint: Endpoint, **other: Any) -> Credentials:
    """Credentials for a local runtime, as ``connect()`` makes them."""
    url = endpoint.url
    values = {"api_key": endpoint.api_key, "auth_url": f"{url}/identity/token", "platform_url": url, **other}
    return Credentials(url=url, verify=endpoint.ca_bundle, **{key: item for key, item in values.items() if item})


def account() -> Service:
    """The account of ``WATSONX_APIKEY``; without one the whole run ends here."""
    if not os.environ.get("WATSONX_APIKEY"):
        pytest.exit("-m watsonx needs WATSONX_APIKEY, WATSONX_PROJECT_ID and WATSONX_URL in the environment.", 4)
    try:
        connection = connect()
    except ConnectionSetupError as error:
        pytest.exit(str(error), 4)
    return Service(connection.credentials, connection.project_id)


def tunable_model(client: Any) -> str | None:
    """The base model to tune; ``None`` if the service offers none."""
    try:
        return choose_base_model(client)
    except NoTunableModelError:
        return None


def model_for(client: Any, function: str, preferred: str | None = None) -> str | None:
    """The model to use for a function: the preferred one if it has it, else one that is there to stay if there is any.

    Args:
        function: as in the filters of ``foundation_model_specs``, ``text_chat`` for instance.
        preferred: an id.
    """
    specs = client.foundation_models.get_model_specs(filters=f"function_{function},!lifecycle_withdrawn:and")
    offered: list[dict[str, Any]] = specs["resources"]

    def rank(spec: dict[str, Any]) -> tuple[bool, bool]:
        return spec["model_id"] != preferred, any(stage["id"] in LEAVING for stage in spec.get("lifecycle", []))

    chosen = min(offered, key=rank, default=None)
    return None if chosen is None else str(chosen["model_id"])


def remove_all(client: Any, name: str) -> None:
    """Delete everything whose name starts so.

    Raises:
        AssertionError: if something could not be deleted; the message names it.
    """
    deployments = _ids(client.deployments.get_details(get_all=True), name)
    models = _ids(client.repository.get_model_details(get_all=True), name)
    trainings = _ids(client.training.get_details(get_all=True), name)
    assets = _ids(client.data_assets.get_details(get_all=True), name)
    for training in trainings:
        # Unlike cancel() this deletes the experiment's asset, too. Where it fails, the report below says why.
        with contextlib.suppress(Exception):
            client.training.delete(training)
    report = clean_up(client, deployment_ids=deployments, model_ids=models, training_ids=trainings, asset_ids=assets)
    assert report.complete, str(report)


def _ids(details: dict[str, Any], name: str) -> list[str]:
    found = [item["metadata"] for item in details["resources"]]
    return [item.get("asset_id") or item["id"] for item in found if str(item.get("name")).startswith(name)]
