"""Every field of a request for text, chat or tokens comes to what IMPLEMENTED.md says; all of the SDK's are there."""

from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models.schema import (
    ReturnOptionProperties,
    TextChatParameters,
    TextGenLengthPenalty,
    TextGenParameters,
)
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.routes import chat, text, tokenization
from prompt_tuning_helpers.runtime.routes.request_fields import HONOURED, IGNORED, REFUSED, Declared
from tests.support.calls import BASE

PATHS = {chat: "chat", text: "generation", tokenization: "tokenization"}
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"model_id": BASE, "messages": [{"role": "user", "content": "Hello"}]},
    "generation": {"model_id": BASE, "input": "Hello"},
    "tokenization": {"model_id": BASE, "input": "Hello"},
}
# A value for each field that asks for something; where a field needs another, both.
VALUES: dict[str, Any] = {
    **TextChatParameters.get_sample_params(),
    **{f"parameters.{name}": value for name, value in TextGenParameters.get_sample_params().items()},
    "response_format": {"type": "json_object"},
    "max_tokens": 100,
    "top_logprobs": 3,
    "crypto": {"key_ref": "crn:v1"},
    "space_id": "a space",
    "tools": [{"type": "function"}],
    "tool_choice": {"type": "function"},
    "tool_choice_option": "auto",
    "context": "Dogs.",
    "moderations": {"hap": {"input": {"enabled": True}}},
    "parameters.stop_sequences": ["fail"],
    "parameters.max_new_tokens": 50,
    "parameters.include_stop_sequence": False,
    "parameters.length_penalty.decay_factor": 2.5,
    "parameters.length_penalty.start_index": 5,
    "parameters.presence_penalty": 0.5,
    "parameters.frequency_penalty": 0.5,
    "parameters.logit_bias": {"7": -100},
    "parameters.guided_choice": ["0", "1"],
    "parameters.guided_regex": "[01]",
    "parameters.guided_json": {"type": "object"},
    "parameters.guided_grammar": 'root ::= "0" | "1"',
    "parameters.response_format": {"type": "json_object"},
    **{f"parameters.return_options.{name}": True for name in ReturnOptionProperties.__dataclass_fields__},
    "parameters.return_options.top_n_tokens": 3,
    "parameters.return_tokens": True,
}
NEEDED: dict[str, dict[str, Any]] = {
    "top_logprobs": {"logprobs": True},
    "parameters.min_new_tokens": {"parameters.max_new_tokens": 50},
    **{
        f"parameters.return_options.{name}": {"parameters.return_options.generated_tokens": True}
        for name in ("token_logprobs", "token_ranks", "top_n_tokens")
    },
}
OF_DEPLOYMENTS = ("parameters.local_runtime.epoch",)  # refused of a base model; test_inference.py asks a deployment
FIELDS = [(path, field) for module, path in PATHS.items() for field in module.DECLARED]
OF_ALL = [(path, field) for path, field in FIELDS if field.name not in OF_DEPLOYMENTS]
READ = [(path, field) for path, field in FIELDS if field.treatment == HONOURED]


def body_with(path: str, values: dict[str, Any]) -> dict[str, Any]:
    """A request with fields that are named by their paths."""
    body = dict(BODIES[path])
    for name, value in values.items():
        *within, last = name.split(".")
        place = body
        for part in within:
            place = place.setdefault(part, {})
        place[last] = value
    return body


@pytest.mark.parametrize(("path", "field"), OF_ALL, ids=[f"{path}-{field.name}" for path, field in OF_ALL])
def test_a_field_is_treated_as_declared(
    client: TestClient, project: dict[str, str], path: str, field: Declared
) -> None:
    given = {} if field.name in {**BODIES[path], **project} else {field.name: VALUES[field.name]}
    body = body_with(path, {**NEEDED.get(field.name, {}), **given})
    answer = client.post(f"/ml/v1/text/{path}", json={**body, **project})
    if field.treatment == REFUSED:
        assert answer.status_code == 400
        assert field.name in answer.json()["errors"][0]["message"]
        return
    assert answer.status_code == 200, answer.text
    warnings = [warning["message"] for warning in answer.json().get("system", {}).get("warnings", [])]
    assert field.treatment in (HONOURED, IGNORED)
    expected = [f"{field.name} is not offered by the local runtime and was ignored."]
    assert warnings == (expected if field.treatment == IGNORED else [])


@pytest.mark.parametrize(("path", "field"), READ, ids=[f"{path}-{field.name}" for path, field in READ])
def test_a_field_that_is_honoured_is_read(
    client: TestClient, project: dict[str, str], path: str, field: Declared
) -> None:
    """What it can never be is refused; so it is not merely passed over."""
    wrong: dict[str, Any] = {field.name: [[]]}
    answer = client.post(f"/ml/v1/text/{path}", json=body_with(path, {**project, **wrong}))
    assert answer.status_code == 400
    assert field.name.split(".")[-1] in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("path", BODIES)
def test_other_fields_are_warned_of(client: TestClient, project: dict[str, str], path: str) -> None:
    answer = client.post(f"/ml/v1/text/{path}", json={**BODIES[path], **project, "tempreature": 1, "nothing": None})
    warnings = answer.json()["system"]["warnings"]
    assert [warning["message"] for warning in warnings] == [
        "tempreature is not known to the local runtime and was ignored."
    ]


def test_every_field_of_the_sdk_is_declared() -> None:
    parameters = set(TextGenParameters.__dataclass_fields__) - {"return_options", "length_penalty"}
    parameters |= {f"return_options.{name}" for name in ReturnOptionProperties.__dataclass_fields__}
    parameters |= {f"length_penalty.{name}" for name in TextGenLengthPenalty.__dataclass_fields__}
    assert {f"parameters.{name}" for name in parameters} <= {field.name for field in text.DECLARED}
    assert set(TextChatParameters.__dataclass_fields__) <= {field.name for field in chat.DECLARED}


def test_what_the_sdk_sends_along_to_count_tokens_is_not_warned_of(client: TestClient, project: dict[str, str]) -> None:
    body = {"model_id": BASE, "input": "Hello", "parameters": {"max_new_tokens": 10, "prompt_variables": {"a": "b"}}}
    answer = client.post("/ml/v1/text/tokenization", json={**body, **project})
    assert answer.status_code == 200
    assert "system" not in answer.json()
