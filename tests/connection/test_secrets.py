"""Nothing that is said contains the key."""

import os
from unittest import mock

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import DEFAULT_URL, ConnectionSetupError
from tests.support.places import KEY, running


def test_no_secret_is_shown(client: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_APIKEY", KEY)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "p1")
    connection = make_connection()
    assert str(connection) == f"Running on watsonx.ai at {DEFAULT_URL}."
    assert KEY not in repr(connection)
    assert KEY not in str(connection)


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
