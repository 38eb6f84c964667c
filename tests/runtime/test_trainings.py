"""Trainings: what is asked, what comes of it, and what goes wrong."""

import errno
import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine.defaults import suited_settings
from prompt_tuning_helpers.engine.job_folder import METRICS, SOFT_PROMPT, Job
from prompt_tuning_helpers.engine.metrics import MetricsReader, MetricsWriter
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.removal import remove_project
from tests.support.calls import ALIAS, BASE, ROWS, open_client, open_fake, training_body, upload, wait_for_training
from tests.support.fake_job import VERDICT

Train = Callable[..., str]


def test_training_document(client: TestClient, project: dict[str, str], train: Train) -> None:
    document = wait_for_training(client, project, train(num_epochs=3), "completed")
    entity, metadata = document["entity"], document["metadata"]
    assert entity["prompt_tuning"] == {
        "accumulate_steps": 1,
        "base_model": {"model_id": BASE},
        "batch_size": 4,
        "init_method": "text",
        "init_text": "Classify",
        "learning_rate": 0.01,
        "max_input_tokens": 64,
        "max_output_tokens": 4,
        "num_epochs": 3,
        "num_virtual_tokens": 10,
        "seed": 0,
        "task_id": "classification",
        "tuning_type": "prompt_tuning",
        "verbalizer": "Input: {{input}} Output:",
    }
    assert len(entity["model_id"]) == 36
    assert metadata["tags"][0] == "prompt_tuning"
    assert metadata["tags"][1].startswith("wx_prompt_tune.")
    metrics = entity["status"]["metrics"]
    assert [metric["ml_metrics"]["epoch"] for metric in metrics] == [0, 0, 1, 1, 2, 2]
    assert metrics[-1]["ml_metrics"]["progress"] == 1
    assert (
        client.get(f"/ml/v4/models/{entity['model_id']}", params=project).json()["entity"]["type"] == "prompt_tune_1.0"
    )


def test_an_epoch_of_one_step_has_two_records(
    client: TestClient, runtime: Runtime, project: dict[str, str], train: Train
) -> None:
    """The SDK takes the time between them for the epoch's duration."""
    training = train(num_epochs=2)
    status = wait_for_training(client, project, training, "completed")["entity"]["status"]
    path = runtime.jobs.folder(training) / METRICS
    path.unlink()
    metrics = MetricsWriter(path, 0)
    for step in (1, 2):
        metrics.append(step, step - 1, 0.5, step / 2)
    made = client.get(f"/ml/v4/trainings/{training}", params=project).json()["entity"]["status"]["metrics"]
    assert [metric["ml_metrics"]["epoch"] for metric in made] == [0, 0, 1, 1]
    written = [record.timestamp for record in MetricsReader(path).read()]
    assert [metric["timestamp"] for metric in made] == [status["running_at"], written[0], written[0], written[1]]


def test_failure_says_why(client: TestClient, project: dict[str, str], train: Train) -> None:
    status = wait_for_training(client, project, train(init_text="fail"), "failed")["entity"]["status"]
    assert status["failure"]["errors"] == [{"code": "tuning_failed", "message": "It failed on purpose."}]
    assert "metrics" not in status


def test_crash_points_to_the_log(client: TestClient, project: dict[str, str], train: Train) -> None:
    status = wait_for_training(client, project, train(init_text="crash"), "failed")["entity"]["status"]
    message = status["failure"]["errors"][0]["message"]
    assert "exit code 7 (out of luck)" in message
    assert Path(message.rsplit(" ", 1)[-1]).read_text() == "out of luck\n"


def test_one_at_a_time_and_cancel(client: TestClient, project: dict[str, str], train: Train) -> None:
    first, second = train(init_text="slow", num_epochs=50), train(init_text="slow", num_epochs=50)
    wait_for_training(client, project, first, "running")
    assert client.get(f"/ml/v4/trainings/{second}", params=project).json()["entity"]["status"]["state"] == "queued"
    assert client.delete(f"/ml/v4/trainings/{first}", params=project).status_code == 204
    assert wait_for_training(client, project, first)["entity"]["status"]["state"] == "canceled"
    again = client.delete(f"/ml/v4/trainings/{first}", params=project)
    assert again.status_code == 400
    assert "Job already completed with state" in again.text
    wait_for_training(client, project, second, "running")
    assert client.delete(f"/ml/v4/trainings/{second}", params={**project, "hard_delete": "true"}).status_code == 204
    assert client.get(f"/ml/v4/trainings/{second}", params=project).status_code == 404


def delete(client: TestClient, runtime: Runtime, training: str, project: dict[str, str]) -> None:
    path = f"/ml/v4/trainings/{training}"
    assert client.delete(path, params={**project, "hard_delete": "true"}).status_code == 204


def cancel(client: TestClient, runtime: Runtime, training: str, project: dict[str, str]) -> None:
    assert client.delete(f"/ml/v4/trainings/{training}", params=project).status_code == 204


def delete_project(client: TestClient, runtime: Runtime, training: str, project: dict[str, str]) -> None:
    remove_project(runtime, project["project_id"], keep=True)


@pytest.mark.parametrize("end", [delete, cancel, delete_project])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_training_that_ends_while_its_model_is_recorded_leaves_no_model(
    client: TestClient,
    runtime: Runtime,
    project: dict[str, str],
    train: Train,
    end: Callable[[TestClient, Runtime, str, dict[str, str]], None],
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends before its model is moved to its place, or after that and before it is recorded."""
    ended = threading.Event()

    def end_it() -> None:
        if not ended.is_set():
            end(client, runtime, training, project)
            ended.set()

    def rename(path: Path, target: Path) -> Path:
        if path.name != SOFT_PROMPT or target.parent != runtime.state.models:
            return move(path, target)
        if moment == "before":
            end_it()
        moved = move(path, target)
        end_it()
        return moved

    move = Path.rename
    monkeypatch.setattr(Path, "rename", rename)
    training = train()
    assert ended.wait(20)
    monkeypatch.undo()
    # The queue takes the next one only when it is done with the first.
    other = upload(client, project, json.dumps(ROWS).encode())
    following = client.post("/ml/v4/trainings", json=training_body(project, other)).json()["metadata"]["id"]
    model = wait_for_training(client, project, following, "completed")["entity"]["model_id"]
    assert [path.name for path in runtime.state.models.iterdir()] == [model]
    listed = client.get("/ml/v4/models", params=project).json()["resources"]
    assert [item["metadata"]["id"] for item in listed] == [model]
    assert "Traceback" not in caplog.text


def test_hard_delete_leaves_the_model(
    client: TestClient, project: dict[str, str], train: Train, runtime: Runtime
) -> None:
    training = train()
    model = wait_for_training(client, project, training, "completed")["entity"]["model_id"]
    assert client.delete(f"/ml/v4/trainings/{training}", params={**project, "hard_delete": "true"}).is_success
    assert not runtime.jobs.folder(training).exists()
    assert client.get(f"/ml/v4/models/{model}", params=project).is_success


def test_list_filters_and_pages(client: TestClient, project: dict[str, str], train: Train) -> None:
    made = [train() for _ in range(3)]
    first = client.get("/ml/v4/trainings", params={**project, "type": "prompt_tuning", "limit": "2"}).json()
    rest = client.get(first["next"]["href"]).json()
    assert [item["metadata"]["id"] for item in first["resources"] + rest["resources"]] == made[::-1]
    assert "next" not in rest
    tag = first["resources"][0]["metadata"]["tags"][1]
    tagged = client.get("/ml/v4/trainings", params={**project, "tag.value": ["prompt_tuning", tag]}).json()
    assert tagged["total_count"] == 1
    assert client.get("/ml/v4/trainings", params={**project, "state": "odd"}).status_code == 400
    assert client.get("/ml/v4/trainings", params={**project, "limit": "0"}).status_code == 400


def test_training_survives_its_asset(client: TestClient, project: dict[str, str], train: Train, asset: str) -> None:
    train(init_text="slow", num_epochs=3)
    second = train()
    assert client.delete(f"/v2/assets/{asset}", params=project).is_success
    wait_for_training(client, project, second, "completed")


def test_training_goes_on_after_a_stop(tmp_path: Path) -> None:
    runtime = open_fake(tmp_path / "again")
    client, project = open_client(runtime), {"project_id": runtime.secrets.project_id}
    asset = upload(client, project, json.dumps([{"input": "a", "output": "b"}]).encode())
    body = training_body(project, asset, init_text="slow", num_epochs=4)
    training = client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"]
    wait_for_training(client, project, training, "running")
    runtime.close()
    runtime = open_fake(tmp_path / "again")
    client = open_client(runtime)
    document = wait_for_training(client, project, training, "completed")
    assert len(document["entity"]["status"]["metrics"]) == 8
    runtime.close()


def test_what_cannot_be_recorded_leaves_nothing(
    runtime: Runtime, client: TestClient, project: dict[str, str], asset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runtime.trainings, "create", full)
    answer = client.post("/ml/v4/trainings", json=training_body(project, asset))
    assert answer.status_code == 507
    assert [row["name"] for row in runtime.database.rows("SELECT name FROM assets")] == ["rows.json"]
    assert not list(runtime.state.jobs.iterdir())


def test_alias_says_who_answers(client: TestClient, project: dict[str, str], asset: str) -> None:
    body = training_body(project, asset, base_model={"model_id": ALIAS})
    answer = client.post("/ml/v4/trainings", json=body).json()
    assert "tiny random Llama answers" in answer["system"]["warnings"][0]["message"]


def test_a_run_that_shows_nothing_learnt_is_completed_and_says_so(
    client: TestClient, project: dict[str, str], train: Train
) -> None:
    status = wait_for_training(client, project, train(init_text="vain"), "completed")["entity"]["status"]
    assert status["message"] == {"level": "warning", "text": VERDICT.text()}
    assert status["verdict"] == asdict(VERDICT)
    learnt = wait_for_training(client, project, train(), "completed")["entity"]["status"]
    assert not {"message", "verdict"} & learnt.keys()


OLD = {
    "base_model": {"model_id": ALIAS},
    "learning_rate": 0.0001,
    "num_epochs": 12,
    "batch_size": 16,
    "accumulate_steps": 8,
    "init_text": "Say whether the customer is satisfied.",
    "verbalizer": "classify {0, 1} {{input}}",
    "max_output_tokens": 2,
    "seed": 7,
}
PACE = ("learning_rate", "num_epochs", "batch_size", "accumulate_steps")


def test_under_an_alias_the_pace_suits_the_model_that_is_there(
    runtime: Runtime, client: TestClient, project: dict[str, str], asset: str
) -> None:
    """What was asked is what clients see again; the job, the curve and the messages are of what is done."""
    created = client.post("/ml/v4/trainings", json=training_body(project, asset, **OLD)).json()
    training = created["metadata"]["id"]
    entity = wait_for_training(client, project, training, "completed")["entity"]
    assert {name: entity["prompt_tuning"][name] for name in OLD} == OLD
    asked, used = entity["local_runtime"]["asked"], entity["local_runtime"]["used"]
    assert asked == {name: OLD[name] for name in asked}
    job = Job.read(runtime.jobs.folder(training)).settings
    assert used == {name: getattr(job, name) for name in used}
    suited = suited_settings("tiny", job, len(ROWS))
    assert [getattr(job, name) for name in PACE] == [getattr(suited, name) for name in PACE]
    assert (job.verbalizer, job.init_text, job.seed) == (OLD["verbalizer"], OLD["init_text"], OLD["seed"])
    epochs = [metric["ml_metrics"]["epoch"] for metric in entity["status"]["metrics"]]
    assert epochs == [epoch for epoch in range(used["num_epochs"]) for _ in range(2)]
    message = entity["status"]["message"]
    assert message["level"] == "info"
    assert f"num_epochs={used['num_epochs']}" in message["text"]
    assert "which suit tiny random Llama, instead of learning_rate=0.0001, num_epochs=12" in message["text"]
    assert message["text"] == created["system"]["warnings"][1]["message"]


def test_settings_are_kept_if_asked_for_and_for_a_model_of_its_own_name(
    tmp_path: Path, client: TestClient, project: dict[str, str], train: Train
) -> None:
    own = {**OLD, "base_model": {"model_id": BASE}}
    entity = wait_for_training(client, project, train(**own), "completed")["entity"]
    assert "local_runtime" not in entity
    assert "message" not in entity["status"]
    runtime = open_fake(tmp_path / "kept", keep_settings=True)
    try:
        client, project = open_client(runtime), {"project_id": runtime.secrets.project_id}
        asset = upload(client, project, json.dumps(ROWS).encode())
        training = client.post("/ml/v4/trainings", json=training_body(project, asset, **OLD)).json()
        assert "local_runtime" not in training["entity"]
        settings = Job.read(runtime.jobs.folder(training["metadata"]["id"])).settings
        assert {name: getattr(settings, name) for name in PACE} == {name: OLD[name] for name in PACE}
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"base_model": {"model_id": "ibm/unknown"}}, "cannot be tuned here"),
        ({"base_model": {}}, "model_id is missing"),
        ({"task_id": "juggling"}, "task_id must be one of"),
        ({"tuning_type": "lora"}, "tuning_type must be prompt_tuning"),
        ({"init_method": "magic"}, "init_method must be one of text, random"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"learning_rate": "fast"}, 'it is \\"fast\\"'),
        ({"num_epochs": 0}, "num_epochs must be a whole number from 1"),
        ({"num_epochs": True}, "num_epochs must be a whole number"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"accumulate_steps": 10**30}, "accumulate_steps must be a whole number"),
        ({"verbalizer": "no field"}, "verbalizer must contain {{input}}"),
        ({"init_text": 7}, "init_text must be a string"),
        ({"num_virtual_tokens": 513}, "num_virtual_tokens must be a whole number from 1 to 512"),
    ],
)
def test_wrong_settings(
    client: TestClient, project: dict[str, str], asset: str, tuning: dict[str, Any], message: str
) -> None:
    answer = client.post("/ml/v4/trainings", json=training_body(project, asset, **tuning))
    assert answer.status_code == 400
    assert message in answer.text
    assert next(iter(answer.json())) == "errors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "name is missing"),
        ({"auto_update_model": False}, "auto_update_model must be true; left out, it is false"),
        ({"auto_update_model": None}, "auto_update_model must be true"),
        ({"results_reference": {"type": "connection_asset"}}, "results_reference.type must be container or fs"),
        ({"training_data_references": []}, "a list of one object"),
        ({"training_data_references": [{"type": "container"}]}, "type must be data_asset"),
        ({"prompt_tuning": None}, "prompt_tuning is missing"),
        ({"project_id": "unknown"}, "is not there"),
        ({"tags": "one"}, "tags must be a list of strings"),
    ],
)
def test_wrong_requests(
    client: TestClient, project: dict[str, str], asset: str, change: dict[str, Any], message: str
) -> None:
    answer = client.post("/ml/v4/trainings", json={**training_body(project, asset), **change})
    assert answer.status_code in (400, 404)
    assert message in answer.text


def test_training_data_is_checked_at_once(client: TestClient, project: dict[str, str]) -> None:
    asset = upload(client, project, b'[{"input": "a", "output": "b"}, {"input": "a"}]')
    answer = client.post("/ml/v4/trainings", json=training_body(project, asset))
    assert answer.status_code == 400
    assert "Row 2" in answer.text
    missing = client.post("/ml/v4/trainings", json=training_body(project, "nothing"))
    assert "upload the training file" in missing.text


def test_extra_settings_are_taken(client: TestClient, project: dict[str, str], train: Train) -> None:
    given = {"num_virtual_tokens": 25, "seed": 7, "init_method": "random", "max_gradient_norm": 0.5}
    tuning = wait_for_training(client, project, train(**given))["entity"]["prompt_tuning"]
    assert {name: tuning[name] for name in given} == given


def test_a_text_to_start_from_without_a_method_is_started_from(
    client: TestClient, project: dict[str, str], train: Train
) -> None:
    """Random numbers are where a start is omitted; a text that was given is not dropped without a word."""
    path = f"/ml/v4/trainings/{train(init_text='Classify', num_epochs=1)}"
    assert client.get(path, params=project).json()["entity"]["prompt_tuning"]["init_method"] == "text"
