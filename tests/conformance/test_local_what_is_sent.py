"""What the SDK sends is honoured, warned about or refused: filters of lists, and settings that are not offered."""

import logging
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models.prompts import PromptTemplateManager
from ibm_watsonx_ai.foundation_models.utils.utils import get_model_specs
from ibm_watsonx_ai.wml_client_error import ApiRequestFailure, WMLClientError

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.lesson import Lesson
from tests.support.service import NAME, TINY


def ids(details: dict[str, Any]) -> list[str]:
    return [item["metadata"]["id"] for item in details["resources"]]


def test_the_whole_repository_is_listed(client: Any, lesson: Lesson, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert lesson.model_id in set(client.repository.list()["ID"])
        details = client.repository.get_details()
    assert not caplog.records
    assert lesson.model_id in ids(details.pop("models"))
    assert len(details) == 4
    assert [found["resources"] for found in details.values()] == [[], [], [], []]
    for listed in (client.repository.list_experiments, client.repository.list_pipelines):
        assert len(listed()) == 0


def test_there_are_no_prompt_templates(client: Any) -> None:
    templates: Any = PromptTemplateManager(api_client=client)
    assert len(templates.list()) == 0


def test_trainings_by_tag_and_state(client: Any, lesson: Lesson) -> None:
    get = client.training.get_details
    tags = get(lesson.tuner.id)["metadata"]["tags"]
    assert lesson.tuner.id in ids(get(tag_value=tags, state="completed"))
    assert ids(get(tag_value=[*tags, f"{NAME} nobody's"])) == []
    assert ids(get(tag_value="nobody's", get_all=True)) == []
    assert lesson.tuner.id not in ids(get(state="queued"))
    assert ids(get(training_definition_id="x")) == []
    with pytest.raises(ApiRequestFailure, match="state must be one of queued, pending"):
        get(state="odd")


def test_a_deployment_keeps_what_is_custom_and_takes_no_hardware(client: Any, lesson: Lesson) -> None:
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: f"{NAME} custom", names.ONLINE: {}, names.CUSTOM: {"team": "a"}, names.TAGS: ["test"]}
    with pytest.raises(WMLClientError, match="hardware_spec"):
        client.deployments.create(lesson.model_id, {**meta, names.HARDWARE_SPEC: {"name": "S"}})
    deployment_id = client.deployments.get_id(client.deployments.create(lesson.model_id, meta))
    assert client.deployments.get_details(deployment_id)["entity"]["custom"] == {"team": "a"}
    client.deployments.update(deployment_id, {names.CUSTOM: {"team": "b"}}, background_mode=True)
    assert client.deployments.get_details(deployment_id)["entity"]["custom"] == {"team": "b"}
    with pytest.raises(WMLClientError, match="this model was tuned on"):
        client.deployments.create(lesson.model_id, {**meta, names.BASE_MODEL_ID: "another"})
    assert client.deployments.delete(deployment_id) == "SUCCESS"


def test_specs_need_no_token(live_runtime: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", live_runtime.ca_bundle)
    specs: Any = get_model_specs(live_runtime.url)
    assert TINY in [spec["model_id"] for spec in specs["resources"]]
