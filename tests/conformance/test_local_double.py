"""A stand-in for watsonx.ai that answers and fails as a test says, as the SDK sees it."""

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference, Rerank
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.wml_client_error import ApiRequestFailure, WMLClientError

from prompt_tuning_helpers import connect, deployed
from prompt_tuning_helpers.double import Answer, Watsonx, local_watsonx
from tests.support.lesson import ROWS

GENERATE, CHAT = "POST /ml/v1/text/generation", "POST /ml/v1/text/chat"
SIGN_IN = "POST /identity/token"


@pytest.fixture(scope="module")
def shared() -> Iterator[Watsonx]:
    with local_watsonx() as running:
        yield running


@pytest.fixture
def watsonx(shared: Watsonx) -> Iterator[Watsonx]:
    with shared.new_project() as project:
        yield project


@pytest.fixture
def model(watsonx: Watsonx) -> Any:
    return make_model(watsonx)


def make_model(watsonx: Watsonx) -> Any:
    client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
    return ModelInference(model_id=watsonx.models[0], api_client=client)


def statuses(watsonx: Watsonx, operation: str) -> list[int | None]:
    return [request.status for request in watsonx.requests if request.operation == operation]


def chat(model: Any, text: str) -> str:
    return str(model.chat([{"role": "user", "content": text}])["choices"][0]["message"]["content"])


# Answers


def test_answers(watsonx: Watsonx, model: Any) -> None:
    watsonx.answers["So kind!"] = "1"
    watsonx.answers[re.compile("late|rude", re.IGNORECASE)] = ["0", "00"]
    watsonx.answers["cut"] = Answer("to be", stop_reason="max_tokens")
    assert model.generate_text(["So kind!", "An hour LATE."]) == ["1", "0"]
    assert chat(model, "Rude.") == "00"
    messages = [{"role": "user", "content": "So kind!"}]
    streamed = [chunk["choices"][0]["delta"]["content"] for chunk in model.chat_stream(messages) if chunk["choices"]]
    assert "".join(streamed) == "1"
    assert "".join(model.generate_text_stream("So kind!")) == "1"
    (result,) = model.generate("cut")["results"]
    assert (result["generated_text"], result["stop_reason"]) == ("to be", "max_tokens")
    assert result["generated_token_count"] == len(model.tokenize("to be")["result"].get("tokens", "to be"))


def test_answers_are_a_mapping(watsonx: Watsonx, model: Any) -> None:
    pattern = re.compile("(?x) l a t e", re.DOTALL)
    watsonx.answers.update({"a": "1", "b": ["2", Answer("3", "max_tokens")]})
    watsonx.answers[pattern] = "0"
    assert dict(watsonx.answers) == {
        "a": [Answer("1")],
        "b": [Answer("2"), Answer("3", "max_tokens")],
        pattern: [Answer("0")],
    }
    del watsonx.answers["a"]
    assert list(watsonx.answers) == ["b", pattern]
    with pytest.raises(KeyError):
        del watsonx.answers["a"]
    with pytest.raises(ValueError, match="There is no answer"):
        watsonx.answers["a"] = []
    wrong: Any
    for wrong in (1, None, ["1", 0], {"text": "1"}):
        with pytest.raises(TypeError, match="An answer is a text, an Answer, or a list of them"):
            watsonx.answers["a"] = wrong
    for wrong in (1, re.compile(b"late")):
        with pytest.raises(TypeError, match="A prompt is a text, or a pattern"):
            watsonx.answers[wrong] = "1"
    with pytest.raises(ValueError, match="at most 1000 characters"):
        watsonx.answers[re.compile("x" * 1001)] = "too long"
    watsonx.answers.clear()
    assert len(watsonx.answers) == 0
    assert model.generate_text("b") != "2"


def test_answers_of_all_projects(shared: Watsonx, watsonx: Watsonx, model: Any) -> None:
    shared.answers["x"] = "everywhere"
    try:
        assert model.generate_text("x") == "everywhere"
        watsonx.answers["x"] = "here"
        assert model.generate_text("x") == "here"
        watsonx.reset()
        assert model.generate_text("x") == "everywhere"
    finally:
        shared.answers.clear()


def test_answers_of_a_deployment(watsonx: Watsonx, tmp_path: Path) -> None:
    client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROWS))
    asset = client.data_assets.get_id(client.data_assets.create(name="rows", file_path=str(file)))
    experiment: Any = TuneExperiment(watsonx.credentials, project_id=watsonx.project_id)
    tuner = experiment.prompt_tuner(
        name="x", task_id=experiment.Tasks.CLASSIFICATION, base_model=watsonx.models[0], num_epochs=1
    )
    tuner.run([DataConnection(data_asset_id=asset)], background_mode=False)
    watsonx.answers["So kind!"] = ["1", "11"]
    watsonx.faults.add("*/deployments/*/text/generation", status=429)
    with deployed(client, tuner.get_model_id()) as deployment_id:
        tuned = ModelInference(deployment_id=deployment_id, api_client=client)
        assert tuned.generate_text("So kind!") == "1"
        assert "".join(tuned.generate_text_stream("So kind!")) == "11"
    asked = [request for request in watsonx.requests if "/deployments/{id_or_name}/text/" in request.operation]
    assert [request.status for request in asked] == [429, 200, 200]
    assert {request.project_id for request in asked} == {watsonx.project_id}
    assert asked[0].body == {"input": "So kind!"}


# Faults


def test_the_sdk_repeats_a_429(watsonx: Watsonx, model: Any) -> None:
    watsonx.answers["x"] = "1"
    watsonx.faults.add(GENERATE, status=429, retry_after=1, times=2)
    assert model.generate_text("x") == "1"
    assert statuses(watsonx, GENERATE) == [429, 429, 200]
    assert [request.fault for request in watsonx.requests if request.operation == GENERATE] == [True, True, False]
    assert len(watsonx.faults) == 0


def test_the_sdk_gives_a_500_up(watsonx: Watsonx, model: Any) -> None:
    watsonx.faults.add("*/text/chat", status=500, times=None, message="The model is on fire.")
    with pytest.raises(ApiRequestFailure, match="The model is on fire"):
        chat(model, "x")
    assert statuses(watsonx, CHAT) == [500] * 4
    watsonx.faults.clear()
    assert chat(model, "x")


def test_a_slow_answer(watsonx: Watsonx, model: Any) -> None:
    watsonx.faults.add(GENERATE, delay=0.5)
    started = time.monotonic()
    model.generate_text("x")
    assert time.monotonic() - started >= 0.5


def test_a_dropped_stream(watsonx: Watsonx, model: Any) -> None:
    watsonx.answers["x"] = "one two three four"
    watsonx.faults.add("*/text/generation_stream", drop_after=2)
    stream = model.generate_text_stream("x")
    assert [next(stream), next(stream)] == ["one ", "two "]
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        next(stream)
    assert "".join(model.generate_text_stream("x")) == "one two three four"
    assert statuses(watsonx, f"{GENERATE}_stream") == [200, 200]


def test_a_dropped_answer(watsonx: Watsonx, model: Any) -> None:
    watsonx.faults.add(GENERATE, drop_after=0)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        model.generate_text("x")
    assert model.generate_text("x")


def test_a_token_that_is_over(watsonx: Watsonx, model: Any) -> None:
    """The SDK goes by its own clock, so it does not sign in again by itself."""
    watsonx.faults.expire_tokens()
    with pytest.raises(ApiRequestFailure, match="authentication_token_expired"):
        model.generate_text("x")
    assert statuses(watsonx, GENERATE) == [401] * 4
    assert make_model(watsonx).generate_text("x")


def test_a_token_that_is_about_to_be_over_is_renewed(watsonx: Watsonx) -> None:
    watsonx.faults.shorten_tokens(30)
    model = make_model(watsonx)
    before = len(statuses(watsonx, SIGN_IN))
    model.generate_text("x")
    model.generate_text("x")
    assert statuses(watsonx, SIGN_IN)[before:] == [200] * (len(statuses(watsonx, SIGN_IN)) - before)
    assert len(statuses(watsonx, SIGN_IN)) - before >= 2
    watsonx.faults.restore_tokens()
    lasting = make_model(watsonx)
    before = len(statuses(watsonx, SIGN_IN))
    lasting.generate_text("x")
    assert len(statuses(watsonx, SIGN_IN)) == before


def test_signing_in_can_fail(watsonx: Watsonx) -> None:
    watsonx.faults.add(SIGN_IN, status=400, message="Not today")
    with pytest.raises(WMLClientError, match="Not today"):
        make_model(watsonx)
    assert statuses(watsonx, SIGN_IN) == [400]
    assert make_model(watsonx)


def test_what_cannot_be_a_fault(watsonx: Watsonx) -> None:
    with pytest.raises(ValueError, match=f"for instance {GENERATE}"):
        watsonx.faults.add("POST /ml/v1/text/generated", status=500)
    with pytest.raises(ValueError, match="needs a status"):
        watsonx.faults.add("*")


# Requests, time, projects


def test_the_requests(watsonx: Watsonx) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    model = make_model(watsonx)
    model.generate_text("x", params={"max_new_tokens": 2})
    first, *_, last = watsonx.requests
    assert first.operation == SIGN_IN
    assert first.body == {"grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
    assert (last.operation, last.status) == (GENERATE, 200)
    assert last.body["parameters"] == {"max_new_tokens": 2}
    assert last.body["input"] == "x"
    assert last.headers["user-agent"].startswith("ibm-watsonx-ai/")
    assert before < last.at < datetime.now(UTC) + timedelta(seconds=1)
    assert str(watsonx.credentials.api_key) not in repr(watsonx.requests)
    assert model._client.token not in repr(watsonx.requests)


def test_a_frozen_clock(watsonx: Watsonx, model: Any) -> None:
    watsonx.clock.freeze("2030-01-31T12:00:00Z")
    fresh = make_model(watsonx)
    assert fresh.generate("x")["created_at"] == fresh.generate("x")["created_at"] == "2030-01-31T12:00:00.000Z"
    watsonx.clock.advance(timedelta(hours=2))
    assert watsonx.clock.now() == datetime(2030, 1, 31, 14, tzinfo=UTC)
    with pytest.raises(ApiRequestFailure, match="authentication_token_expired"):
        fresh.generate("x")
    watsonx.clock.freeze()
    assert watsonx.clock.now() == datetime(2030, 1, 31, 14, tzinfo=UTC)
    watsonx.clock.reset()
    assert abs(watsonx.clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
    assert model.generate_text("x")


def test_several_projects(shared: Watsonx, watsonx: Watsonx) -> None:
    other = watsonx.add_project("second")
    models = [make_model(project) for project in (watsonx, other)]
    watsonx.answers["x"] = "first"
    other.answers["x"] = "second"
    other.faults.add(GENERATE, status=429)
    assert [model.generate_text("x") for model in models] == ["first", "second"]
    assert statuses(watsonx, GENERATE) == [200]
    assert statuses(other, GENERATE) == [429, 200]
    client = APIClient(watsonx.credentials)
    with shared.new_project() as third:
        inner = third.add_project()
        ids = set(client.projects.list()["ID"])
        assert {project.project_id for project in (watsonx, other, third, inner)} <= ids
    left = set(client.projects.list()["ID"])
    assert not {third.project_id, inner.project_id} & left
    assert {watsonx.project_id, other.project_id} <= left


def test_the_next_test_finds_nothing_of_this_one(shared: Watsonx) -> None:
    with shared.new_project() as one:
        one.clock.freeze("2030-01-31T12:00:00Z")
        one.faults.shorten_tokens(5)
        one.faults.add("*", status=500, times=None)
        one.answers["x"] = "1"
        with pytest.raises(WMLClientError):
            make_model(one)
    with shared.new_project() as two:
        assert two.requests == []
        assert len(two.answers) == len(two.faults) == 0
        assert abs(two.clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
        assert make_model(two).generate_text("x") != "1"


def test_the_environment_leads_there(watsonx: Watsonx, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in watsonx.environment.items():
        monkeypatch.setenv(name, value)
    assert connect().project_id == watsonx.project_id
    assert os.environ["WATSONX_IAM_URL"] == f"{watsonx.url}/identity/token"


# What is not offered


def test_what_is_not_offered_names_what_is(watsonx: Watsonx) -> None:
    client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
    offered = "generates text.*chats.*counts tokens"
    with pytest.raises(WMLClientError, match=f"Embeddings are not offered.*{offered}"):
        Embeddings(model_id="ibm/slate-125m-english-rtrvr", api_client=client).embed_query("x")
    with pytest.raises(WMLClientError, match=f"Reranking is not offered.*{offered}"):
        Rerank(model_id="cross-encoder/ms-marco-minilm-l-12-v2", api_client=client).generate("x", ["y"])
    assert [r.status for r in watsonx.requests if r.operation.startswith("POST /ml/v1/text/")] == [404, 404]
