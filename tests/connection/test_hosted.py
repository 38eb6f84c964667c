"""In a hosted notebook, which is given a token and its project."""

from pathlib import Path
from unittest import mock

import pytest

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import DEFAULT_URL, ConnectionSetupError


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
