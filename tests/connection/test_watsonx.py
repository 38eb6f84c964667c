"""On watsonx.ai, with a key of one's own: what leads there, and one clear message for what is missing or wrong."""

from types import SimpleNamespace
from unittest import mock

import pytest

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import DEFAULT_URL, Connection, ConnectionSetupError
from tests.support.places import FRANKFURT, KEY, running


def test_a_key_leads_to_watsonx(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p1")
    connection = make_connection()
    assert (connection.place, connection.url, connection.project_id) == ("watsonx.ai", DEFAULT_URL, "p1")
    assert connection.credentials.api_key == KEY
    assert connection.credentials.verify is True
    client.assert_called_once_with(connection.credentials, project_id="p1")


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


def test_a_connection_says_where_it_leads() -> None:
    connection = Connection(mock.Mock(), "p", "hosted notebook", "https://u")
    assert str(connection) == "Running in a hosted notebook on watsonx.ai at https://u."
