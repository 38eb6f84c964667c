"""Key and address from different places: a key goes nowhere that another place names."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import DEFAULT_URL, ConnectionSetupError
from tests.support.places import FRANKFURT, KEY, running, write_dotenv


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
