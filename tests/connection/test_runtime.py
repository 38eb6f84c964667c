"""On this computer: a local runtime that is up is used, if it is the user's own."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import ConnectionSetupError, to_runtime
from prompt_tuning_helpers.runtime.endpoint import Endpoint, write_record
from tests.support.places import KEY, running


def test_a_runtime_that_is_up_is_used(client: mock.Mock, runtime: SimpleNamespace) -> None:
    with running(runtime), mock.patch("subprocess.Popen") as started:
        connection = make_connection()
    started.assert_not_called()
    credentials = connection.credentials
    assert credentials.platform_url == credentials.url == runtime.url
    assert credentials.auth_url == runtime.url + "/identity/token"
    assert credentials.verify == runtime.ca_bundle
    assert connection.models == runtime.models
    assert "SmolLM2" in str(connection)
    assert "127.0.0.1" in os.environ["NO_PROXY"]


@pytest.mark.parametrize("asked", ["smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_a_runtime_that_serves_the_model_asked_for_is_used(
    client: mock.Mock, runtime: SimpleNamespace, asked: str
) -> None:
    with running(runtime):
        assert make_connection(model=asked).url == runtime.url


def test_a_runtime_that_serves_another_model_is_named_with_the_way_out(
    client: mock.Mock, runtime: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_WATSONX_MODEL", "somebody/other")
    said = f"serves {runtime.models[0]}, not somebody/other. Stop it with `local-watsonx stop"
    with running(runtime), pytest.raises(ConnectionSetupError, match=re.escape(said)):
        make_connection()


def test_a_runtime_named_in_the_environment_is_used(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, runtime: SimpleNamespace
) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "local-project")
    monkeypatch.setenv("WATSONX_URL", runtime.url)
    with running(runtime):
        connection = make_connection()
    assert connection.place == "local runtime"
    assert connection.credentials.verify == runtime.ca_bundle


@pytest.mark.parametrize("other", [None, {"url": "https://127.0.0.1:4434"}])
def test_a_program_on_this_computer_that_is_not_the_users_runtime_gets_no_key(
    client: mock.Mock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runtime: SimpleNamespace,
    other: dict[str, str] | None,
) -> None:
    """Whoever set ``SSL_CERT_FILE``: a certificate says nothing about whose a program on this computer is."""
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "local-project")
    monkeypatch.setenv("WATSONX_URL", runtime.url)
    monkeypatch.setenv("SSL_CERT_FILE", runtime.ca_bundle)
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    found = other and SimpleNamespace(**{**vars(runtime), **other})
    with running(found), pytest.raises(ConnectionSetupError, match=re.escape(str(tmp_path / "state"))) as caught:
        make_connection()
    assert (other["url"] if other else "is not up") in str(caught.value)
    client.assert_not_called()


@pytest.mark.parametrize("key", [KEY, ""])
def test_a_runtime_that_others_may_have_put_there_gets_no_key(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    own = Endpoint("https://127.0.0.1:4433", KEY, "p", str(tmp_path / "bundle"), os.getpid(), ())
    write_record(tmp_path, "running", own)
    (tmp_path / "endpoint.json").chmod(0o666)
    monkeypatch.setenv("WATSONX_APIKEY", key)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p")
    monkeypatch.setenv("WATSONX_URL", own.url)
    with pytest.raises(ConnectionSetupError, match=r"Other users may change .*endpoint\.json"):
        make_connection(state=tmp_path)
    client.assert_not_called()


def test_without_the_extra_packages_a_runtime_named_in_the_environment_cannot_be_told(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, runtime: SimpleNamespace, without: Callable[..., Any]
) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "local-project")
    monkeypatch.setenv("WATSONX_URL", runtime.url)
    monkeypatch.setenv("SSL_CERT_FILE", runtime.ca_bundle)
    with without("psutil"), running(runtime), pytest.raises(ConnectionSetupError, match=r"psutil.*\s.*\[local\]"):
        make_connection()
    client.assert_not_called()


def test_a_blank_key_is_no_key(client: mock.Mock, monkeypatch: pytest.MonkeyPatch, runtime: SimpleNamespace) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", " ")
    with running(runtime):
        assert make_connection().place == "local runtime"


@pytest.mark.parametrize(
    "error", [InvalidCredentialsError("no such key", logg_messages=False), CannotSetProjectOrSpace("no such project")]
)
def test_a_runtime_that_the_environment_knows_wrongly(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, runtime: SimpleNamespace, error: WMLClientError
) -> None:
    """A key of IBM Cloud would not help there."""
    monkeypatch.setenv("WATSONX_APIKEY", "of-an-earlier-runtime")
    monkeypatch.setenv("WATSONX_PROJECT_ID", "local-project")
    monkeypatch.setenv("WATSONX_URL", runtime.url)
    client.side_effect = error
    with running(runtime), pytest.raises(ConnectionSetupError, match="Unset WATSONX_APIKEY") as caught:
        make_connection()
    assert "cloud.ibm.com" not in str(caught.value)


def test_proxies_are_kept_out_of_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet, localhost")
    monkeypatch.setenv("no_proxy", "*")
    to_runtime("https://127.0.0.1:4433", KEY, "p", "bundle", ())
    assert os.environ["NO_PROXY"] == "intranet,localhost,127.0.0.1"
    assert os.environ["no_proxy"] == "*"


def test_the_state_folder_can_be_chosen(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: SimpleNamespace
) -> None:
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "a"))
    with running(runtime) as asked:
        make_connection()
        make_connection(state=tmp_path / "b")
    assert [call.args[0] for call in asked.call_args_list] == [tmp_path / "a", tmp_path / "b"]
