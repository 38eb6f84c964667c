"""What the engine's errors become in answers: a status, a code of watsonx.ai's, and a message for people."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import EngineClosed, EngineError, errors
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.engine_errors import STATUS_AND_CODE, from_engine
from tests.support.calls import BASE

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EngineError)]


def test_each_kind_has_a_status_and_a_code_of_its_own() -> None:
    assert {kind.kind for kind in KINDS} == STATUS_AND_CODE.keys()
    assert len(STATUS_AND_CODE) == len(KINDS)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (errors.EngineError, 400, "invalid_request_entity"),
        (errors.UnavailableModel, 400, "model_not_supported"),
        (errors.UnusableModel, 409, "model_not_usable"),
        (errors.UnusablePrompt, 400, "invalid_input_argument"),
        (errors.NoChatTemplate, 400, "model_no_support_for_function"),
        (errors.TrainingDataError, 400, "invalid_training_data"),
    ],
)
def test_what_the_engine_raises_is_answered(
    client: TestClient,
    project: dict[str, str],
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[EngineError],
    status: int,
    code: str,
) -> None:
    def refuse(*_: Any) -> None:
        raise kind("It cannot be: do something else.")

    monkeypatch.setattr(runtime.engine, "count_tokens", refuse)
    answer = client.post("/ml/v1/text/tokenization", json={"model_id": BASE, "input": "a", **project})
    assert answer.status_code == status
    error = answer.json()["errors"][0]
    assert (error["code"], error["message"]) == (code, "It cannot be: do something else.")


def test_an_engine_that_closes_is_a_runtime_that_stops() -> None:
    assert from_engine(EngineClosed()).message == "The runtime is stopping; ask again when it is back."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("unusable_training_data", "invalid_training_data"),
        ("invalid_training_data", "invalid_training_data"),  # as older versions wrote it
        ("training_diverged", "training_diverged"),
    ],
)
def test_a_job_says_in_the_engines_words_why_it_failed(
    client: TestClient, project: dict[str, str], runtime: Runtime, train: Callable[..., str], written: str, shown: str
) -> None:
    training = train(init_text="slow")
    assert runtime.trainings.fail(training, written, "Row 7 has no output.")
    document = client.get(f"/ml/v4/trainings/{training}", params=project).json()
    assert document["entity"]["status"]["failure"]["errors"] == [{"code": shown, "message": "Row 7 has no output."}]
