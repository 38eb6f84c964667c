"""Where the lesson runs: each place by its environment, and one clear message for what is missing or wrong."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers._launcher import wait_for
from prompt_tuning_helpers.connection import DEFAULT_URL, Connection, ConnectionSetupError, to_runtime
from prompt_tuning_helpers.runtime.endpoint import Endpoint, write_record
from tests.support.environment import placeless

KEY = "a-very-secret-key"
FRANKFURT = "https://eu-de.ml.cloud.ibm.com"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that says nothing, and a folder without ``.env``; what the SDK sets is undone."""
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ, placeless(), clear=True):
        yield


@pytest.fixture
def client() -> Iterator[mock.Mock]:
    """The SDK's client; it lets everybody in unless told otherwise."""
    with mock.patch("ibm_watsonx_ai.APIClient", autospec=True) as client:
        from ibm_watsonx_ai.client import APIClient

        client.PLATFORM_URLS_MAP = APIClient.PLATFORM_URLS_MAP
        yield client


@pytest.fixture
def runtime(tmp_path: Path) -> SimpleNamespace:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    return SimpleNamespace(
        url="https://127.0.0.1:4433",
        api_key=KEY,
        project_id="local-project",
        ca_bundle=str(bundle),
        pid=1,
        models=("HuggingFaceTB/SmolLM2-135M-Instruct",),
    )


def write_dotenv(folder: Path, *lines: str) -> Path:
    """Put settings into a file of the user's own."""
    file = folder / ".env"
    file.write_text("\n".join(lines), encoding="utf-8")
    file.chmod(0o600)
    return file


def running(endpoint: object) -> Any:
    return mock.patch("prompt_tuning_helpers.runtime.endpoint.running_endpoint", return_value=endpoint)


# --- watsonx.ai


def test_a_key_leads_to_watsonx(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p1")
    connection = make_connection()
    assert (connection.place, connection.url, connection.project_id) == ("watsonx.ai", DEFAULT_URL, "p1")
    assert connection.credentials.api_key == KEY
    assert connection.credentials.verify is True
    client.assert_called_once_with(connection.credentials, project_id="p1")


def test_a_dotenv_file_is_read_but_the_environment_wins(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_dotenv(tmp_path, f"WATSONX_APIKEY={KEY}", f"WATSONX_URL={FRANKFURT}", "WATSONX_PROJECT_ID=from-file")
    connection = make_connection()
    assert (connection.url, connection.project_id) == (FRANKFURT, "from-file")
    assert "WATSONX_APIKEY" not in os.environ
    monkeypatch.setenv("WATSONX_PROJECT_ID", "from-environment")
    assert make_connection().project_id == "from-environment"


def test_no_secret_is_shown(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p1")
    connection = make_connection()
    assert str(connection) == f"Running on watsonx.ai at {DEFAULT_URL}."
    assert KEY not in repr(connection)
    assert KEY not in str(connection)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "WATSONX_PROJECT_ID is not"),
        ({"WATSONX_PROJECT_ID": "p", "WATSONX_URL": "http://us-south.ml.cloud.ibm.com"}, "must start with https://"),
        ({"WATSONX_PROJECT_ID": "p", "WATSONX_URL": "https://us-north.ml.cloud.ibm.com"}, "not a region"),
        ({"WATSONX_PROJECT_ID": "p", "WATSONX_URL": "https://127.0.0.1:1"}, "LOCAL_WATSONX_STATE"),
    ],
)
def test_a_setting_that_cannot_work_is_named(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with running(None), pytest.raises(ConnectionSetupError, match=said):
        make_connection()
    client.assert_not_called()


def test_the_regions_that_are_offered_are_public_ones(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p1")
    monkeypatch.setenv("WATSONX_URL", "https://nowhere.ml.cloud.ibm.com")
    with pytest.raises(ConnectionSetupError) as caught:
        make_connection()
    offered = str(caught.value).split("one of: ")[1].split(", ")
    assert {DEFAULT_URL, FRANKFURT} <= set(offered)
    assert not [url for url in offered if "private" in url or "test" in url or "qa" in url]


@pytest.mark.parametrize(
    "url",
    [
        "https://us-south.ml.cloud.ibm.com@evil.example",
        "https://us-south.ml.cloud.ibm.com:443@evil.example/",
        "https://us-south.ml.cloud.ibm.com#@evil.example",
        "https://us-south.ml.cloud.ibm.com\\@evil.example",
        "https://us-south.ml.cloud.ibm.com.evil.example",
        "https://evil.example/https://us-south.ml.cloud.ibm.com",
        "https://evil.example",
        "https://US-SOUTH.ml.cloud.ibm.com",
        "HTTPS://us-south.ml.cloud.ibm.com",
        "http://us-south.ml.cloud.ibm.com",
        "https://us-south.ml.cloud.ibm.com.",
        "https://us-south.ml.cloud.ibm.com:8443",
        "https://us-south.ml.cloud.ibm.com/ml",
        "https://us-south.ml.cloud.ibm.com\n.evil.example",
        "https://us\u2010south.ml.cloud.ibm.com",
        "https://127.0.0.1:4433@evil.example",
        "https://evil.example@127.0.0.1:4433",
        "https://127.0.0.1:4434",
        "https://127.0.0.1",
        "https://LOCALHOST:4433",
        "https://localhost:4433",
        "https://[::1]:4433",
        "https://[::ffff:127.0.0.1]:4433",
        "https://[::1",
        "https://127.1:4433",
        "https://127.0.0.2:4433",
        "https://2130706433:4433",
        "https://0.0.0.0:4433",
        "https://localhost.evil.example:4433",
        "https://127.0.0.1.evil.example:4433",
        "http://127.0.0.1:4433",
        "us-south.ml.cloud.ibm.com",
    ],
)
@pytest.mark.parametrize("hosted", [False, True])
def test_any_other_spelling_of_an_address_is_refused(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, runtime: SimpleNamespace, url: str, hosted: bool
) -> None:
    """While a runtime of the user's own is up, with all of it in the environment."""
    monkeypatch.setenv("USER_ACCESS_TOKEN" if hosted else "WATSONX_APIKEY", "Bearer a.b.c" if hosted else KEY)
    monkeypatch.setenv("PROJECT_ID", "p")
    monkeypatch.setenv("WATSONX_URL", url)
    monkeypatch.setenv("SSL_CERT_FILE", runtime.ca_bundle)
    said = "not a region|must start with https://|points to this computer"
    with running(runtime), pytest.raises(ConnectionSetupError, match=said):
        make_connection()
    client.assert_not_called()


# --- key and address from different places


@pytest.mark.parametrize("url", [FRANKFURT, DEFAULT_URL, "https://127.0.0.1:4433"])
@pytest.mark.parametrize("key_in_file", [True, False])
def test_a_key_goes_nowhere_that_another_place_names(
    client: mock.Mock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runtime: SimpleNamespace,
    url: str,
    key_in_file: bool,
) -> None:
    in_file, elsewhere = [f"WATSONX_APIKEY={KEY}", "WATSONX_PROJECT_ID=p"], ("WATSONX_URL", url)
    if not key_in_file:
        in_file, elsewhere = [f"WATSONX_URL={url}", "WATSONX_PROJECT_ID=p"], ("WATSONX_APIKEY", KEY)
    write_dotenv(tmp_path, *in_file, f"SSL_CERT_FILE={runtime.ca_bundle}")
    monkeypatch.setenv(*elsewhere)
    with running(runtime), pytest.raises(ConnectionSetupError) as caught:
        make_connection()
    client.assert_not_called()
    places = "the environment", str(tmp_path / ".env")
    of_key, of_url = reversed(places) if key_in_file else places
    assert f"WATSONX_APIKEY comes from {of_key}, but WATSONX_URL from {of_url}." in str(caught.value)


def test_a_project_may_come_from_another_place_than_the_key(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is no address, and Dallas is named by nobody."""
    write_dotenv(tmp_path, "WATSONX_PROJECT_ID=from-file")
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    connection = make_connection()
    assert (connection.url, connection.project_id) == (DEFAULT_URL, "from-file")


def test_a_file_cannot_redirect_the_token_of_a_hosted_notebook(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_dotenv(tmp_path, f"WATSONX_URL={FRANKFURT}")
    monkeypatch.setenv("USER_ACCESS_TOKEN", "Bearer a.b.c")
    monkeypatch.setenv("PROJECT_ID", "hosted-project")
    with pytest.raises(ConnectionSetupError, match="The token of this notebook comes from the environment"):
        make_connection()
    client.assert_not_called()
    monkeypatch.setenv("WATSONX_URL", FRANKFURT)
    assert make_connection().url == FRANKFURT


def test_a_file_that_is_not_read_is_told_of(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: SimpleNamespace
) -> None:
    write_dotenv(tmp_path, f"WATSONX_APIKEY={KEY}")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with running(runtime), pytest.warns(UserWarning, match="is not read") as warned:
        assert make_connection().place == "local runtime"
    assert str(warned[0].message) == f"{tmp_path / '.env'} is not read: it must be in {tmp_path / 'below'}."
    assert warned[0].filename == __file__
    monkeypatch.setenv("WATSONX_APIKEY", "")
    with running(runtime), warnings.catch_warnings(action="error"):
        make_connection()


def test_a_warning_about_the_file_names_the_caller(client: mock.Mock, tmp_path: Path) -> None:
    write_dotenv(tmp_path, f"WATSONX_APIKEY={KEY}", "WATSONX_PROJECT_ID=p").chmod(0o644)
    with pytest.warns(UserWarning, match="Other users") as warned:
        make_connection()
    assert warned[0].filename == __file__


# --- nothing that is said contains the key


@pytest.mark.parametrize(
    "odd", ["a key", "key\nof two lines", '"key"', "key&grant_type=x", "schlüssel", "key%41", "kéy"]
)
def test_a_key_that_cannot_be_one_is_not_sent(client: mock.Mock, monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", odd)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p")
    with pytest.raises(
        ConnectionSetupError, match=r"WATSONX_APIKEY \(from the environment\) has a character"
    ) as caught:
        make_connection()
    assert odd not in str(caught.value)
    client.assert_not_called()


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=16)
KEYS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_", min_size=16)


def refused(echo: str) -> list[Exception]:
    """What the SDK raises, with what the service has said."""
    return [
        CannotSetProjectOrSpace(echo),
        InvalidCredentialsError(echo, logg_messages=False),
        WMLClientError(echo, logg_messages=False),
        httpx.ConnectError(echo),
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=(TEXTS | KEYS).map(str.strip).filter(lambda key: len(key) >= 16),
    url=st.sampled_from(["", "{key}", "https://{key}", "https://127.0.0.1/{key}", DEFAULT_URL]),
    project=st.sampled_from(["", "p", "{key}"]),
    kind=st.integers(0, 3),
    padding=st.integers(270, 300),
)
def test_the_key_is_in_no_message(client: mock.Mock, key: str, url: str, project: str, kind: int, padding: int) -> None:
    """Not when it is put into the wrong variable, nor when the service repeats it, also where its answer is cut."""
    client.side_effect = refused("-" * padding + f" {key}")[kind]
    environment = {
        "WATSONX_APIKEY": key,
        "WATSONX_URL": url.format(key=key),
        "WATSONX_PROJECT_ID": project.format(key=key),
    }
    with mock.patch.dict(os.environ, environment), running(None), pytest.raises(ConnectionSetupError) as caught:
        make_connection()
    assert key[: len(key) // 2] not in str(caught.value)


def test_the_token_of_a_hosted_notebook_is_in_no_message(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_ACCESS_TOKEN", "Bearer a-header.a-payload.a-signature")
    monkeypatch.setenv("PROJECT_ID", "p")
    client.side_effect = WMLClientError("no such token: a-header.a-payload.a-signature", logg_messages=False)
    with pytest.raises(ConnectionSetupError, match="no such token") as caught:
        make_connection()
    assert "a-payload" not in str(caught.value)


# --- hosted notebook


@pytest.mark.parametrize(
    ("platform", "url"),
    [
        ("https://api.dataplatform.cloud.ibm.com", "https://us-south.ml.cloud.ibm.com"),
        ("https://api.eu-de.dataplatform.cloud.ibm.com/", "https://eu-de.ml.cloud.ibm.com"),
        ("", DEFAULT_URL),
    ],
)
def test_a_hosted_notebook_uses_what_it_is_given(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, platform: str, url: str
) -> None:
    monkeypatch.setenv("RUNTIME_ENV_APSX_URL", platform)
    monkeypatch.setenv("USER_ACCESS_TOKEN", "Bearer a.b.c")
    monkeypatch.setenv("PROJECT_ID", "hosted-project")
    connection = make_connection()
    assert (connection.place, connection.url, connection.project_id) == ("hosted notebook", url, "hosted-project")
    assert connection.credentials.token == "a.b.c"
    assert connection.credentials.url == url


def test_a_hosted_token_may_come_from_a_file(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("Bearer d.e.f")
    monkeypatch.setenv("RUNTIME_ENV_ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("PROJECT_ID", "hosted-project")
    assert make_connection().credentials.token == "d.e.f"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RUNTIME_ENV_APSX_URL": "https://api.dataplatform.cloud.ibm.com"}, "no access token"),
        (
            {"RUNTIME_ENV_APSX_URL": "https://api.dataplatform.cloud.ibm.com", "USER_ACCESS_TOKEN": "a.b.c"},
            "belongs to no project",
        ),
        (
            {"RUNTIME_ENV_APSX_URL": "https://elsewhere", "USER_ACCESS_TOKEN": "a.b.c", "PROJECT_ID": "p"},
            "WATSONX_URL",
        ),
    ],
)
def test_a_hosted_notebook_that_lacks_something_says_so(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionSetupError, match=said):
        make_connection()


# --- the local runtime


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


def test_without_the_extra_packages_the_message_says_what_to_install(
    client: mock.Mock, without: Callable[..., Any]
) -> None:
    for name in ("torch", "psutil"):
        with without(name), running(None), pytest.raises(ConnectionSetupError, match=r"\[local\]") as caught:
            make_connection()
        assert name in str(caught.value)


@pytest.fixture
def without() -> Callable[..., Any]:
    """Make a package look as if it were not installed."""
    import importlib.util

    find = importlib.util.find_spec

    def hide(name: str) -> Any:
        return mock.patch("importlib.util.find_spec", side_effect=lambda asked: None if asked == name else find(asked))

    return hide


def test_the_runtime_is_started_in_the_background(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: SimpleNamespace
) -> None:
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_WATSONX_MODEL", "tiny")
    answers = [None, None, runtime]
    process = mock.Mock(**{"poll.return_value": None})
    with (
        mock.patch("prompt_tuning_helpers.runtime.endpoint.running_endpoint", side_effect=answers),
        mock.patch("prompt_tuning_helpers._launcher.fetch") as fetch,
        mock.patch("subprocess.Popen", return_value=process) as popen,
        mock.patch("atexit.register") as register,
    ):
        connection = make_connection()
    fetch.assert_called_once_with("tiny")
    command = popen.call_args.args[0]
    assert command[:4] == [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve"]
    assert command[command.index("--state") + 1] == str(tmp_path / "state")
    assert command[command.index("--model") + 1] == "tiny"
    assert "--while-used" in command
    assert connection.url == runtime.url
    stop = register.call_args.args[0]
    stop()
    process.terminate.assert_called_once()


def test_a_runtime_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(40)))
    ended = mock.Mock(**{"poll.return_value": 1})
    with running(None), pytest.raises(ConnectionSetupError, match="line 39") as caught:
        wait_for(ended, tmp_path, log)
    assert "line 3\n" not in str(caught.value)


def test_a_runtime_that_never_answers_is_stopped(tmp_path: Path) -> None:
    hanging = mock.Mock(**{"poll.return_value": None})
    with running(None), pytest.raises(ConnectionSetupError, match="did not start"):
        wait_for(hanging, tmp_path, tmp_path / "no-log", seconds=-1)
    hanging.terminate.assert_called_once()


def test_another_process_may_have_been_quicker(tmp_path: Path, runtime: SimpleNamespace) -> None:
    ended = mock.Mock(**{"poll.return_value": 1})
    with running(runtime):
        assert wait_for(ended, tmp_path, tmp_path / "log").url == runtime.url


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


def test_a_connection_says_where_it_leads() -> None:
    connection = Connection(mock.Mock(), "p", "hosted notebook", "https://u")
    assert str(connection) == "Running in a hosted notebook on watsonx.ai at https://u."


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, prompt_tuning_helpers, prompt_tuning_helpers.datasets;"
        "heavy = {'torch', 'transformers', 'starlette', 'uvicorn', 'psutil', 'matplotlib', 'pandas', 'ibm_watsonx_ai'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
