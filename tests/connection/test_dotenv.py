"""Settings from a file ``.env``: which one is read, and what is said of one that is not, or that others may read."""

import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from prompt_tuning_helpers import connect as make_connection
from tests.support.places import FRANKFURT, KEY, running, write_dotenv


def test_a_dotenv_file_is_read_but_the_environment_wins(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_dotenv(tmp_path, f"WATSONX_APIKEY={KEY}", f"WATSONX_URL={FRANKFURT}", "WATSONX_PROJECT_ID=from-file")
    connection = make_connection()
    assert (connection.url, connection.project_id) == (FRANKFURT, "from-file")
    assert "WATSONX_APIKEY" not in os.environ
    monkeypatch.setenv("WATSONX_PROJECT_ID", "from-environment")
    assert make_connection().project_id == "from-environment"


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
