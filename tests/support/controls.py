"""The calls that tests make to a runtime whose controls are open."""

from typing import Any

from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.calls import BASE

EXAMPLES = settings(max_examples=150, deadline=None)
SAME_RUNTIME = settings(EXAMPLES, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
GENERATE = "/ml/v1/text/generation"
SIGN_IN = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey"}


def own(runtime: Runtime) -> dict[str, str]:
    return {"Authorization": f"Test-Controls {runtime.secrets.api_key}"}


def ask(client: TestClient, project: dict[str, str], prompt: str, path: str = GENERATE, **more: Any) -> Any:
    return client.post(path, json={"model_id": BASE, "input": prompt, **project, **more})


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"][0]["generated_text"])
