"""The settings in the environment and in ``.env``: which count, where they come from, and whom ``.env`` belongs to."""

import os
import re
import shlex
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from prompt_tuning_helpers._settings import ENVIRONMENT, Setting, overlooked_file, read_settings
from prompt_tuning_helpers.connection import ConnectionSetupError

KEY = "a-very-secret-key"
NONE = Setting()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without settings, which reading them leaves as it is."""
    monkeypatch.chdir(tmp_path)
    kept = {name: value for name, value in os.environ.items() if "WATSONX" not in name}
    with mock.patch.dict(os.environ, kept, clear=True):
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def write(file: Path, *lines: str) -> None:
    file.write_text("\n".join(lines), encoding="utf-8")
    file.chmod(0o600)


def test_what_the_environment_says_wins_even_if_it_is_empty(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, f"WATSONX_APIKEY={KEY}", "WATSONX_URL=https://of.the.file", "WATSONX_PROJECT_ID=of-the-file")
    monkeypatch.setenv("WATSONX_APIKEY", "")
    monkeypatch.setenv("WATSONX_PROJECT_ID", " of-the-environment ")
    settings = read_settings()
    assert settings.api_key == Setting("", ENVIRONMENT)
    assert settings.project_id == Setting("of-the-environment", ENVIRONMENT)
    assert settings.url == Setting("https://of.the.file", str(file))


def test_three_names_are_read_and_the_environment_stays_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what programs load nor whom they trust, nor where the local runtime keeps its state."""
    others = ("LD_PRELOAD", "SSL_CERT_FILE", "PATH", "LOCAL_WATSONX_STATE", "PROJECT_ID", "WATSONX_RETRY_STATUS_CODES")
    write(file, *(f"{name}=/tmp/evil" for name in others), f"export WATSONX_APIKEY='{KEY}'")
    before = dict(os.environ)
    settings = read_settings()
    assert settings.api_key == Setting(KEY, str(file))
    assert (settings.url, settings.project_id) == (NONE, NONE)
    assert dict(os.environ) == before


def test_a_value_refers_to_no_other_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could carry a secret of the environment into an address."""
    monkeypatch.setenv("OTHER_SECRET", "other-secret")
    write(file, "WATSONX_URL=https://${OTHER_SECRET}.evil.example")
    assert read_settings().url.value == "https://${OTHER_SECRET}.evil.example"


def test_a_mark_of_its_encoding_does_not_belong_to_the_first_name(file: Path) -> None:
    write(file, f"\ufeffWATSONX_APIKEY={KEY}")
    assert read_settings().api_key.value == KEY


def test_no_value_is_shown(file: Path) -> None:
    write(file, f"WATSONX_APIKEY={KEY}")
    assert KEY not in repr(read_settings())


def test_folders_above_are_not_searched(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, f"WATSONX_APIKEY={KEY}")
    (file.parent / "middle" / "below").mkdir(parents=True)
    monkeypatch.chdir(file.parent / "middle" / "below")
    assert read_settings().api_key == NONE
    assert overlooked_file() == file
    write(file.parent / "middle" / ".env", "OTHER=x")
    assert overlooked_file() == file
    file.chmod(0o666)
    assert overlooked_file() is None


# --- whose it is


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused_with_the_remedy(file: Path, mode: int) -> None:
    write(file, f"WATSONX_APIKEY={KEY}")
    file.chmod(mode)
    with pytest.raises(ConnectionSetupError, match=f"Other users may change {re.escape(str(file))}") as caught:
        read_settings()
    (command,) = re.findall(r"(chmod .*)", str(caught.value))
    subprocess.run(shlex.split(command), check=True)
    assert read_settings().api_key.value == KEY


def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    write(file, "WATSONX_URL=https://us-south.ml.cloud.ibm.com")
    with (
        mock.patch("os.geteuid", return_value=os.geteuid() + 1),
        pytest.raises(ConnectionSetupError, match=f"{re.escape(str(file))} belongs to another user"),
    ):
        read_settings()


def test_what_a_link_leads_to_counts(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    write(target, f"WATSONX_APIKEY={KEY}")
    file.symlink_to(target)
    assert read_settings().api_key.value == KEY
    target.chmod(0o666)
    with pytest.raises(ConnectionSetupError, match="Other users may change"):
        read_settings()


def test_whose_a_link_is_counts_too(file: Path, tmp_path: Path) -> None:
    """Somebody else could lead to another of the user's own files."""
    target = tmp_path / "elsewhere"
    write(target, f"WATSONX_APIKEY={KEY}")
    file.symlink_to(target)
    of_link = os.stat_result((*file.lstat()[:4], os.geteuid() + 1, *file.lstat()[5:]))
    with (
        mock.patch.object(Path, "lstat", return_value=of_link),
        pytest.raises(ConnectionSetupError, match="belongs to another user"),
    ):
        read_settings()


def test_a_file_about_other_things_may_be_anybodys(file: Path) -> None:
    write(file, "DATABASE=x", "LOCAL_WATSONX_MODEL=tiny")
    file.chmod(0o666)
    assert read_settings().api_key == NONE


def test_a_file_that_is_not_needed_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the messages say: what the environment settles is not refused."""
    write(file, f"WATSONX_APIKEY={KEY}")
    file.chmod(0o666)
    for name in ("WATSONX_APIKEY", "WATSONX_URL", "WATSONX_PROJECT_ID"):
        monkeypatch.setenv(name, "")
    assert read_settings().api_key == Setting("", ENVIRONMENT)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_others_who_may_read_a_key_are_warned_of(file: Path, mode: int) -> None:
    write(file, f"WATSONX_APIKEY={KEY}")
    file.chmod(mode)
    with pytest.warns(UserWarning, match="Other users of this computer may read") as warned:
        assert read_settings().api_key.value == KEY
    (command,) = re.findall(r"Run: (.*)", str(warned[0].message))
    subprocess.run(shlex.split(command), check=True)
    with warnings.catch_warnings(action="error"):
        read_settings()


@pytest.mark.parametrize("line", ["WATSONX_URL=https://us-south.ml.cloud.ibm.com", "WATSONX_APIKEY="])
@pytest.mark.filterwarnings("error")
def test_without_a_key_there_is_nothing_to_warn_of(file: Path, line: str) -> None:
    write(file, line)
    file.chmod(0o644)
    read_settings()


# --- what cannot be read


def test_a_file_that_is_not_utf8(file: Path) -> None:
    file.write_text(f"WATSONX_APIKEY={KEY}", encoding="utf-16")
    with pytest.raises(ConnectionSetupError, match="is not a text in UTF-8") as caught:
        read_settings()
    assert str(file) in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("make", ["mkdir", "fifo"])
def test_no_file_at_all(file: Path, make: str) -> None:
    """Reading from a pipe that nobody writes to would never end."""
    if make == "mkdir":
        file.mkdir()
    else:
        os.mkfifo(file)
    with pytest.raises(ConnectionSetupError, match="is not a file with settings"):
        read_settings()


def test_a_file_that_cannot_be_read(file: Path) -> None:
    file.symlink_to(file)
    with pytest.raises(ConnectionSetupError, match="cannot be read") as caught:
        read_settings()
    assert str(file) in str(caught.value)


def test_a_link_that_leads_nowhere_is_no_file(file: Path) -> None:
    file.symlink_to("nowhere")
    assert read_settings().api_key == NONE


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConnectionSetupError, match="The working folder cannot be used"):
        read_settings()
