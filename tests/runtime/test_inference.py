"""Deployments and the answers of models."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import GenerationParameters, Guide
from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.calls import ALIAS, BASE, events

Deploy = Callable[..., str]


def test_deployment_document(client: TestClient, project: dict[str, str], deploy: Deploy, model: str) -> None:
    deployment = deploy("name_1")
    document = client.get(f"/ml/v4/deployments/{deployment}", params=project).json()
    entity = document["entity"]
    assert entity["asset"]["id"] == model
    assert entity["status"]["state"] == "ready"
    assert entity["base_model_id"] == BASE
    assert entity["status"]["serving_urls"][0].split("/")[-3] == "name_1"
    assert "prompt_template" not in entity
    listed = client.get("/ml/v4/deployments", params={**project, "serving_name": "name_1"}).json()
    assert [item["metadata"]["id"] for item in listed["resources"]] == [deployment]


def test_serving_names_are_unique(client: TestClient, project: dict[str, str], deploy: Deploy, model: str) -> None:
    lookup = {"serving_name": "taken", "conflict": "true"}
    assert client.get("/ml/v4/deployments", params=lookup).status_code == 204
    deployment = deploy("taken")
    assert client.get("/ml/v4/deployments", params=lookup).status_code == 409
    body = {"name": "D", "online": {"parameters": {"serving_name": "taken"}}, "asset": {"id": model}}
    again = client.post("/ml/v4/deployments", params=project, json=body)
    assert again.status_code == 409
    assert '"taken\\" is taken by another deployment' in again.text
    assert client.delete(f"/ml/v4/deployments/{deployment}", params=project).status_code == 204
    deploy("taken")


@pytest.mark.parametrize("name", ["Upper", "with-dash", "x" * 37, "ümlaut", "new\nline", "", 5])
def test_odd_serving_names(client: TestClient, project: dict[str, str], model: str, name: object) -> None:
    body = {"name": "D", "online": {"parameters": {"serving_name": name}}, "asset": {"id": model}}
    assert client.post("/ml/v4/deployments", params=project, json=body).status_code == 400


def test_deployed_model_is_kept(client: TestClient, project: dict[str, str], deploy: Deploy, model: str) -> None:
    deployment = deploy()
    listed = client.get("/ml/v4/deployments", params={**project, "asset_id": model}).json()
    assert listed["total_count"] == 1
    assert client.get("/ml/v4/deployments", params={**project, "asset_id": "other"}).json()["total_count"] == 0
    assert client.delete(f"/v2/assets/{model}", params=project).status_code == 409
    assert client.delete(f"/ml/v4/models/{model}", params=project).status_code == 409
    client.delete(f"/ml/v4/deployments/{deployment}", params=project)
    assert client.delete(f"/v2/assets/{model}", params={**project, "purge_on_delete": "true"}).status_code == 204
    assert client.get(f"/ml/v4/models/{model}", params=project).status_code == 404


def test_generate(client: TestClient, project: dict[str, str], deploy: Deploy, model: str) -> None:
    deployment = deploy("by_name")
    for name in (deployment, "by_name"):
        answer = client.post(f"/ml/v1/deployments/{name}/text/generation", json={"input": "say hello"}).json()
        assert answer["results"][0] == {
            "generated_text": f"hello {model}",
            "generated_token_count": 2,
            "input_token_count": 2,
            "stop_reason": "eos_token",
        }
    body = {"model_id": BASE, "input": "say hello", **project}
    assert client.post("/ml/v1/text/generation", json=body).json()["results"][0]["generated_text"] == "hello"
    echo = {**body, "parameters": {"return_options": {"input_text": True}}}
    assert client.post("/ml/v1/text/generation", json=echo).json()["results"][0]["input_text"] == "say hello"


def test_a_deployment_is_asked_as_it_was_after_an_epoch(
    client: TestClient, runtime: Runtime, project: dict[str, str], deploy: Deploy, model: str
) -> None:
    path = f"/ml/v1/deployments/{deploy('by_name')}/text/generation"
    asked = {"input": "say hello", "parameters": {"local_runtime": {"epoch": 1}}}
    (deployment,) = client.get("/ml/v4/deployments", params=project).json()["resources"]
    assert deployment["entity"]["local_runtime"] == {"epochs": [0, 1]}
    answer = client.post(path, json=asked).json()
    assert answer["results"][0]["generated_text"] == "hello 1"
    assert "system" not in answer
    streamed = events(client.post(f"{path}_stream", json=asked).text)
    assert "".join(event["results"][0]["generated_text"] for event in streamed) == "hello 1"
    for epoch in (2, -1, 50, "1", 0.5, [0]):
        refused = client.post(path, json={**asked, "parameters": {"local_runtime": {"epoch": epoch}}})
        assert refused.status_code == 400
        assert "parameters.local_runtime.epoch" in refused.text
    # With the training go its epochs, and the tuned model stays.
    training = client.get("/ml/v4/trainings", params=project).json()["resources"][0]["metadata"]["id"]
    folder = runtime.jobs.folder(training)
    assert folder.is_dir()
    client.delete(f"/ml/v4/trainings/{training}", params={**project, "hard_delete": "true"})
    assert not folder.exists()
    assert "are: none" in client.post(path, json=asked).text
    assert client.post(path, json={"input": "say hello"}).json()["results"][0]["generated_text"] == f"hello {model}"
    (deployment,) = client.get("/ml/v4/deployments", params=project).json()["resources"]
    assert "local_runtime" not in deployment["entity"]


def test_a_base_model_has_no_epochs(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "say hello", "parameters": {"local_runtime": {"epoch": 0}}, **project}
    answer = client.post("/ml/v1/text/generation", json=body)
    assert answer.status_code == 400
    assert "a base model has none" in answer.text


def test_stream(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "say hello", **project}
    answer = client.post("/ml/v1/text/generation_stream", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    results = [event["results"][0] for event in events(answer.text)]
    assert "".join(result["generated_text"] for result in results) == "hello"
    assert [result["stop_reason"] for result in results] == ["not_finished"] * 5 + ["eos_token"]


def test_what_is_wrong_before_a_stream_is_a_status(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "refuse", **project}
    for path in ("generation", "generation_stream"):
        answer = client.post(f"/ml/v1/text/{path}", json=body)
        assert answer.status_code == 400
        assert "shorten it" in answer.text


def test_what_breaks_within_a_stream_is_an_event(client: TestClient, project: dict[str, str]) -> None:
    answer = client.post("/ml/v1/text/generation_stream", json={"model_id": BASE, "input": "break", **project})
    assert "event: error\ndata: " in answer.text
    assert "on purpose" not in answer.text


def test_alias_warns(client: TestClient, project: dict[str, str]) -> None:
    answer = client.post("/ml/v1/text/generation", json={"model_id": ALIAS, "input": "x", **project}).json()
    assert "it is not that model" in answer["system"]["warnings"][0]["message"]


def test_what_is_not_offered_is_warned_of(client: TestClient, project: dict[str, str]) -> None:
    parameters = {"return_options": {"token_logprobs": True, "input_tokens": False}, "temprature": 1}
    body = {"model_id": BASE, "input": "x", "parameters": parameters, "moderations": {"hap": {}}, **project}
    streamed = events(client.post("/ml/v1/text/generation_stream", json=body).text)
    for answer in (client.post("/ml/v1/text/generation", json=body).json(), *streamed):
        warnings = " ".join(warning["message"] for warning in answer["system"]["warnings"])
        for name in ("moderations", "parameters.temprature", "return_options.token_logprobs"):
            assert name in warnings


def test_very_many_unknown_fields_are_told_in_few_words(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "x", **project, **{"x" * 500 + str(number): 1 for number in range(1000)}}
    answer = client.post("/ml/v1/text/generation", json=body)
    assert "990 more fields" in answer.text
    assert len(answer.text) < 5000


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_new_tokens": -1},
        {"max_new_tokens": "many"},
        {"min_new_tokens": 30},
        {"decoding_method": "beam"},
        {"temperature": -1},
        {"temperature": 3},
        {"temperature": 0, "decoding_method": "sample"},
        {"temperature": 0.04, "decoding_method": "sample"},
        {"top_p": 0, "decoding_method": "sample"},
        {"top_p": 1.1},
        {"top_k": 0},
        {"stop_sequences": ["a"] * 7},
        {"stop_sequences": "stop"},
        {"repetition_penalty": 0.5},
        {"random_seed": 0},
        {"length_penalty": {"decay_factor": 0.5}},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1},
        {"logit_bias": {"dog": 1}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"7": 101}},
        {"guided_choice": []},
        {"guided_choice": ["a", ""]},
        {"guided_choice": "a"},
        {"guided_json": "{"},
        {"guided_json": []},
        {"guided_regex": 5},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"guided_regex": "a", "guided_choice": ["a"]},
        {"return_options": {"top_n_tokens": 6}},
        {"return_options": {"token_ranks": "yes"}},
        {"time_limit": -1},
        {"truncate_input_tokens": -1},
        {"include_stop_sequence": "yes"},
        "greedy",
    ],
)
def test_wrong_parameters(client: TestClient, project: dict[str, str], parameters: object) -> None:
    body = {"model_id": BASE, "input": "x", "parameters": parameters, **project}
    answer = client.post("/ml/v1/text/generation", json=body)
    assert answer.status_code == 400
    name = next(iter(parameters)) if isinstance(parameters, dict) else "parameters"
    assert name in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"model_id": "unknown", "input": "x"}, 404), ({"input": "x"}, 400), ({"model_id": BASE}, 400)],
)
def test_wrong_questions(client: TestClient, project: dict[str, str], body: dict[str, str], status: int) -> None:
    for path in ("generation", "generation_stream", "tokenization"):
        assert client.post(f"/ml/v1/text/{path}", json={**body, **project}).status_code == status


def test_unknown_deployment(client: TestClient) -> None:
    for path in ("generation", "generation_stream", "chat"):
        answer = client.post(f"/ml/v1/deployments/nothing/text/{path}", json={"input": "x"})
        assert answer.status_code == 404


def test_chat(client: TestClient, project: dict[str, str]) -> None:
    content = [{"type": "text", "text": "hello "}, {"type": "text", "text": "there"}]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}]
    body = {"model_id": BASE, "messages": messages, "temperature": 0, "max_tokens": 5, **project}
    answer = client.post("/ml/v1/text/chat", json=body).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "there"}
    assert answer["usage"]["total_tokens"] == 7
    streamed = events(client.post("/ml/v1/text/chat_stream", json=body).text)
    assert "".join(event["choices"][0]["delta"]["content"] for event in streamed) == "there"
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    assert (answer["object"], {event["object"] for event in streamed}) == ("chat.completion", {"chat.completion.chunk"})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "content": "21 degrees", "tool_call_id": "1"},
    ],
)
def test_messages_of_tools_are_refused_as_such(
    client: TestClient, project: dict[str, str], message: dict[str, object]
) -> None:
    messages = [{"role": "user", "content": "How warm is it?"}, message]
    answer = client.post("/ml/v1/text/chat", json={"model_id": BASE, "messages": messages, **project})
    assert answer.status_code == 400
    assert "messages[1] is about a tool, and tools are not offered here" in answer.text


def test_the_parts_of_messages_that_are_ignored_are_told_once(client: TestClient, project: dict[str, str]) -> None:
    messages = [{"role": "user", "content": "Hello", "name": "Ada", "mood": "good"}] * 3
    answer = client.post("/ml/v1/text/chat", json={"model_id": BASE, "messages": messages, **project}).json()
    assert [warning["message"] for warning in answer["system"]["warnings"]] == [
        "In messages, name is not offered by the local runtime and was ignored.",
        "In messages, mood is not known to the local runtime and was ignored.",
    ]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"n": 2}, "one answer to a request: leave n out"),
        ({"n": 0}, "n must be"),
        ({"top_logprobs": 3}, "set logprobs to true, too"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs must be"),
        ({"temperature": 2.1}, "temperature must be"),
        ({"guided_choice": ["a"], "response_format": {"type": "json_object"}}, "Only one of guided_choice and"),
    ],
)
def test_wrong_fields_of_chat(
    client: TestClient, project: dict[str, str], field: dict[str, object], message: str
) -> None:
    body = {"model_id": BASE, "messages": [{"role": "user", "content": "Hello"}], **field, **project}
    answer = client.post("/ml/v1/text/chat", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        ["hi"],
        [{"role": "user"}],
        [{"role": "robot", "content": "x"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": 5}],
    ],
)
def test_wrong_messages(client: TestClient, project: dict[str, str], messages: object) -> None:
    answer = client.post("/ml/v1/text/chat", json={"model_id": BASE, "messages": messages, **project})
    assert answer.status_code == 400


def test_prompt_tuned_models_do_not_chat(client: TestClient, deploy: Deploy) -> None:
    answer = client.post(f"/ml/v1/deployments/{deploy()}/text/chat", json={"messages": []})
    assert answer.status_code == 404
    assert "does not chat" in answer.text


def test_tokenize(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "a b", "parameters": {"return_tokens": True}, **project}
    assert client.post("/ml/v1/text/tokenization", json=body).json()["result"] == {
        "token_count": 2,
        "tokens": ["a", "b"],
    }


def parameters_of(runtime: Runtime, client: TestClient, path: str, body: dict[str, Any]) -> GenerationParameters:
    """What the engine is asked for."""
    body = {"model_id": BASE, "project_id": runtime.secrets.project_id, **body}
    answer = client.post(f"/ml/v1/text/{path}", json=body)
    assert answer.status_code == 200, answer.text
    engine: Any = runtime.engine
    parameters: GenerationParameters = engine.asked[-1].parameters
    return parameters


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_new_tokens": 20, "decoding_method": "greedy", "guide": None, "describe_generated": False}),
        ({"max_new_tokens": 0}, {"max_new_tokens": 0}),
        ({"temperature": 0, "top_p": 0}, {"decoding_method": "greedy", "temperature": 1.0, "top_p": 1.0}),
        ({"decoding_method": "sample", "temperature": 0.05}, {"temperature": 0.05}),
        ({"random_seed": 2**32 - 1}, {"random_seed": 2**32 - 1}),
        ({"truncate_input_tokens": 0}, {"truncate_input_tokens": 0}),
        ({"return_options": {"input_tokens": True}}, {"describe_input": True, "describe_generated": False}),
        ({"return_options": {"generated_tokens": True, "top_n_tokens": True}}, {"top_tokens": 5}),
        ({"length_penalty": {"decay_factor": 2.5, "start_index": 5}}, {"decay_factor": 2.5, "decay_start": 5}),
        ({"guided_choice": ["0", "1"]}, {"guide": Guide("choice", ("0", "1"))}),
    ],
)
def test_parameters_reach_the_engine(
    runtime: Runtime, client: TestClient, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    parameters = parameters_of(runtime, client, "generation", {"input": "x", "parameters": given})
    assert {name: getattr(parameters, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_new_tokens": 512, "decoding_method": "sample", "describe_generated": False}),
        ({"max_tokens": 7}, {"max_new_tokens": 7}),
        ({"max_completion_tokens": 0, "max_tokens": 7}, {"max_new_tokens": 512}),
        ({"temperature": 0}, {"decoding_method": "greedy"}),
        ({"top_p": 0}, {"decoding_method": "greedy"}),
        ({"logit_bias": {"7": -100}}, {"logit_bias": {7: -100.0}}),
        ({"logprobs": True, "top_logprobs": 20}, {"describe_generated": True, "top_tokens": 20}),
        ({"response_format": {"type": "text"}}, {"guide": None}),
        ({"response_format": {"type": "json_object"}}, {"guide": Guide("json", '{"type": "object"}')}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}},
            {"guide": Guide("json", '{"type": "array"}')},
        ),
        ({"guided_json": '{"type": "array"}'}, {"guide": Guide("json", '{"type": "array"}')}),
        ({"guided_regex": "a|b"}, {"guide": Guide("regex", "a|b")}),
    ],
)
def test_fields_of_chat_reach_the_engine(
    runtime: Runtime, client: TestClient, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    parameters = parameters_of(runtime, client, "chat", {"messages": messages, **given})
    assert {name: getattr(parameters, name) for name in expected} == expected
