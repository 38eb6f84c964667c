"""What the service refuses, as the unmodified SDK raises it: one clear message each, with the next step.

The SDK talks to the addresses of watsonx.ai; below it, instead of the network, stands a table of answers.
"""

import base64
import json
import logging
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.wml_client_error import WMLClientError
from IPython.core.interactiveshell import InteractiveShell

from prompt_tuning_helpers import choose_base_model, connect, deployed, resume
from prompt_tuning_helpers._sdk import advice, advise_in_notebook
from prompt_tuning_helpers.base_models import NoTunableModelError
from prompt_tuning_helpers.connection import ConnectionSetupError
from tests.support.environment import placeless

KEY = "a-very-secret-key"
TOKEN = "/identity/token"
PROJECT = "/v2/projects/p1"
MODELS = "/ml/v1/foundation_model_specs"
TRAINING = "/ml/v4/trainings/run-1"
DEPLOYMENTS = "/ml/v4/deployments"
NO_SUCH_KEY = (400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."})
TOO_MANY = (429, {"errors": [{"code": "rate_limit_reached_requests", "message": "Too many requests"}]})

Answers = dict[str, tuple[int, dict[str, Any]] | Exception]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment with a key and a project, and nothing else; what the SDK sets is undone."""
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ, placeless() | {"WATSONX_APIKEY": KEY, "WATSONX_PROJECT_ID": "p1"}, clear=True):
        yield


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What each path answers: a status and a body, or what becomes of the connection. All is well at first."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 3600}).encode()).decode()
    answers: Answers = {
        TOKEN: (200, {"access_token": f"header.{claims}.signature"}),
        PROJECT: (200, {"entity": {"storage": {"type": "bmcos_object_storage"}}}),
        MODELS: (200, {"resources": [{"model_id": "ibm/granite-3-8b-instruct", "label": "granite-3-8b-instruct"}]}),
    }

    def answer(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path, (404, {"errors": [{"code": "not_found", "message": "There is none."}]}))
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found[0], json=found[1], request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the SDK asks again after a while
    return answers


@pytest.fixture
def client(answers: Answers) -> Any:
    connection = connect()
    return APIClient(connection.credentials, project_id=connection.project_id)


@pytest.mark.parametrize(
    ("path", "answer", "next_step"),
    [
        (TOKEN, NO_SUCH_KEY, "Check WATSONX_APIKEY"),
        (TOKEN, (429, {"errorCode": "BXNIM0438E", "errorMessage": "Too many requests"}), "Wait a minute"),
        (TOKEN, (503, {"errorMessage": "Service unavailable"}), r"trouble of its own \(status 503\)"),
        (TOKEN, httpx.ConnectError("Name or service not known"), "Check the network"),
        (TOKEN, httpx.ConnectError("CERTIFICATE_VERIFY_FAILED"), "cannot be verified"),
        (PROJECT, (404, {"code": 404, "message": "The project could not be found."}), "Check WATSONX_PROJECT_ID"),
        (PROJECT, (403, {"code": 403, "message": "Forbidden"}), "WATSONX_URL is the region of the project"),
        (PROJECT, TOO_MANY, "Wait a minute"),
        (PROJECT, (500, {"code": 500, "message": "Internal server error"}), r"trouble of its own \(status 500\)"),
        (PROJECT, httpx.ReadTimeout("timed out"), "Check the network"),
    ],
)
def test_who_is_not_let_in_learns_why(
    answers: Answers, caplog: pytest.LogCaptureFixture, path: str, answer: Any, next_step: str
) -> None:
    answers[path] = answer
    with caplog.at_level(logging.WARNING), pytest.raises(ConnectionSetupError, match=next_step) as caught:
        connect()
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not caplog.records, "the message is said twice"


def test_an_expired_token_of_a_hosted_notebook(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATSONX_APIKEY")
    monkeypatch.setenv("RUNTIME_ENV_APSX_URL", "https://api.dataplatform.cloud.ibm.com")
    monkeypatch.setenv("USER_ACCESS_TOKEN", "a.b.c")
    answers[PROJECT] = (401, {"code": 401, "message": "Unauthorized"})
    with pytest.raises(ConnectionSetupError, match="Stop the notebook's runtime"):
        connect()


def test_a_service_without_prompt_tuning(answers: Answers, client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK shows an empty list; the helper says what that means."""
    answers[MODELS] = (200, {"resources": []})
    client.foundation_models.PromptTunableModels.show()
    assert capsys.readouterr().out == "{}\n"
    with pytest.raises(NoTunableModelError, match="unset WATSONX_APIKEY"):
        choose_base_model(client)


def test_a_model_that_is_not_offered(client: Any) -> None:
    with pytest.raises(NoTunableModelError, match="Choose one of: ibm/granite-3-8b-instruct"):
        choose_base_model(client, "ibm/granite-20b")


@pytest.mark.parametrize(
    ("answer", "next_step"),
    [
        (TOO_MANY, "Wait a minute"),
        (httpx.ReadError("connection reset"), "Check the network"),
        ((503, {"errors": [{"message": "Busy."}]}), "Check the network"),
        ((401, {"errors": [{"message": "Expired."}]}), "again from connect() on"),
    ],
)
def test_the_next_step_is_below_the_errors_of_the_helpers(
    answers: Answers, client: Any, answer: Any, next_step: str
) -> None:
    answers[MODELS] = answers[TRAINING] = answers[DEPLOYMENTS] = answer
    for ask in (
        lambda: choose_base_model(client),
        lambda: resume(client, "run-1"),
        lambda: deployed(client, "model-1").__enter__(),
    ):
        with pytest.raises((WMLClientError, httpx.TransportError)) as caught:
            ask()
        shown = "".join(traceback.format_exception(caught.value))
        assert shown.count("What to do:") == 1
        assert next_step in shown


def test_an_error_that_only_itself_can_explain_gets_no_advice(client: Any) -> None:
    with pytest.raises(WMLClientError, match="There is none") as caught:
        client.training.get_details("run-9")
    assert advice(caught.value) is None
    assert advice(FileNotFoundError("reviews.json")) is None


def test_the_notebook_adds_the_next_step_to_errors_of_the_sdk(
    answers: Answers, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell: Any = InteractiveShell(user_ns={"client": client})  # type: ignore[no-untyped-call]
    shell.colors = "nocolor"
    answers[DEPLOYMENTS] = TOO_MANY
    with (
        mock.patch("prompt_tuning_helpers._sdk.in_notebook", return_value=True),
        mock.patch("IPython.get_ipython", return_value=shell),
    ):
        advise_in_notebook()
    result = shell.run_cell("client.deployments.get_details()")
    assert not result.success
    shown = capsys.readouterr().out
    assert "Too many requests" in shown
    assert shown.rstrip().endswith("Wait a minute, then run this again.")
    shell.run_cell("1 / 0")
    assert "What to do" not in capsys.readouterr().out
