"""A tuned model leaves the local runtime as a PEFT adapter, and comes back as a training and a model of the SDK's."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ibm_watsonx_ai.foundation_models import ModelInference
from peft import PeftModel
from transformers import AutoModelForCausalLM

from prompt_tuning_helpers.engine import sources
from prompt_tuning_helpers.engine.soft_prompt import load
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.commands import invoke
from tests.support.lesson import ROWS, Lesson
from tests.support.service import TINY


@pytest.fixture(scope="module")
def state(live_runtime: Endpoint) -> Path:
    return Path(live_runtime.ca_bundle).parents[1]


@pytest.fixture(scope="module")
def exported(lesson: Lesson, state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "reviews"
    done = invoke(state, "export", lesson.tuner.id, str(folder))
    assert done.exit_code == 0, done.output
    return folder


def test_peft_loads_it(exported: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(sources.fetch("tiny"), dtype=torch.float32)
    network = PeftModel.from_pretrained(base, exported)
    assert torch.equal(network.get_prompt(batch_size=1)[0], load(exported).embeddings)


def test_it_has_its_template_and_names(exported: Path, lesson: Lesson) -> None:
    assert json.loads((exported / "tuning_settings.json").read_text())["verbalizer"] == "classify {0, 1} {{input}}"
    assert "classify {0, 1} {{input}}" in (exported / "README.md").read_text()
    assert json.loads((exported / "tuned_model.json").read_text()) == {
        "name": lesson.details["metadata"]["name"],
        "description": lesson.details["metadata"]["description"],
        "base_model_id": TINY,
        "task_id": "classification",
    }


def test_it_comes_back_beside_itself_and_answers_alike(
    client: Any, experiment: Any, lesson: Lesson, exported: Path, state: Path
) -> None:
    done = invoke(state, "import", str(exported), "--name", "come back")
    assert done.exit_code == 0, done.output
    training_id, model_id = (done.output.split(f"{kind} ")[1][:36] for kind in ("training", "model"))
    assert model_id in set(client.repository.list_models()["ID"])
    assert training_id in set(experiment.runs.list()["run_id"])
    details = client.training.get_details(training_id)
    assert details["entity"]["status"]["state"] == "completed"
    assert details["entity"]["model_id"] == model_id
    assert details["entity"]["prompt_tuning"] == lesson.details["entity"]["prompt_tuning"]
    names = client.deployments.ConfigurationMetaNames
    created = client.deployments.create(model_id, meta_props={names.NAME: "come back", names.ONLINE: {}})
    deployment = client.deployments.get_id(created)
    answers = [
        ModelInference(deployment_id=of, api_client=client).generate_text(prompt=[row["input"] for row in ROWS])
        for of in (lesson.deployment_id, deployment)
    ]
    assert answers[0] == answers[1]
    client.deployments.delete(deployment)
    client.repository.delete(model_id)
    client.training.cancel(training_id, hard_delete=True)


def test_a_base_model_that_is_not_served_is_named(exported: Path, state: Path) -> None:
    done = invoke(state, "import", str(exported), "--base-model", "somebody/other")
    assert done.exit_code == 1
    assert "was tuned on somebody/other; the runtime serves" in done.output
    assert TINY in done.output
