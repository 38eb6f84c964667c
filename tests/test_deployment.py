"""Deployments: names, the context manager, and a clean-up that does not stop halfway."""

import re
from unittest import mock

import pytest
from ibm_watsonx_ai.wml_client_error import WMLClientError

from prompt_tuning_helpers.deployment import CleanUpReport, clean_up, deployed, unique_serving_name


@pytest.mark.parametrize("prefix", ["prompt_tuning", "Reseñas de perros!", "狗", "", "x" * 100])
def test_serving_names_are_allowed_and_unique(prefix: str) -> None:
    names = {unique_serving_name(prefix) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,35}", name) for name in names)


def test_a_deployment_lasts_as_long_as_its_block() -> None:
    client = mock.Mock()
    client.deployments.get_id.return_value = "d1"
    with deployed(client, "m1", name="Reviews") as deployment_id:
        assert deployment_id == "d1"
        client.deployments.delete.assert_not_called()
    client.deployments.delete.assert_called_once_with("d1")
    properties = client.deployments.create.call_args.kwargs["meta_props"]
    assert properties[client.deployments.ConfigurationMetaNames.SERVING_NAME].startswith("reviews_")


def test_a_deployment_is_removed_when_its_block_fails() -> None:
    client = mock.Mock()
    with pytest.raises(RuntimeError, match="in the block"), deployed(client, "m1"):
        raise RuntimeError("in the block")
    client.deployments.delete.assert_called_once()


def test_cleaning_up_removes_everything_in_order() -> None:
    client = mock.Mock()
    report = clean_up(client, deployment_ids=["d"], model_ids=["m"], training_ids=["t"], asset_ids=["a1", "a2"])
    assert [call[0] for call in client.mock_calls] == [
        "deployments.delete",
        "repository.delete",
        "training.cancel",
        "data_assets.delete",
        "data_assets.delete",
    ]
    client.training.cancel.assert_called_once_with("t", hard_delete=True)
    assert report.complete
    assert str(report).splitlines() == [
        "Removed deployment: 1",
        "Removed tuned model: 1",
        "Removed tuning run: 1",
        "Removed data asset: 2",
    ]


@pytest.mark.parametrize(
    "message",
    [
        'deployment deletion failed. Reason: {"errors":[{"code":"deployment_not_found"}],"status_code":404}',
        "Artifact with artifact_id: 'm' does not exist.",
    ],
)
def test_what_is_gone_already_is_no_failure(message: str) -> None:
    client = mock.Mock()
    client.deployments.delete.side_effect = WMLClientError(message, logg_messages=False)
    report = clean_up(client, deployment_ids=["d"], asset_ids=["a"])
    assert report.complete
    assert report.gone == (("deployment", "d"),)
    assert report.removed == (("data asset", "a"),)
    assert "Already gone deployment: 1" in str(report)


def test_one_failure_does_not_stop_the_rest() -> None:
    client = mock.Mock()
    client.deployments.delete.side_effect = ConnectionError("no route to host")
    report = clean_up(client, deployment_ids=["d"], asset_ids=["a"])
    assert not report.complete
    assert "STILL THERE: deployment d: no route to host" in str(report)
    assert ("data asset", "a") in report.removed


def test_nothing_to_remove_is_said() -> None:
    assert str(CleanUpReport((), (), ())) == "There was nothing to remove."
