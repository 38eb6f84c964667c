"""What a state folder is: one that is new, empty or marked. Any other is left as it is."""

import os
import shlex
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from prompt_tuning_helpers import _launcher
from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import ConnectionSetupError
from prompt_tuning_helpers.runtime.endpoint import running_endpoint, stop_recorded
from prompt_tuning_helpers.runtime.store.state import State, StateError
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.commands import assert_one_line, run
from tests.support.environment import REPOSITORY
from tests.support.servers import serve_command, serve_once, wait_until
from tests.support.state_folders import everything_in

Damage = Callable[[Path], None]


def of_a_user(folder: Path) -> Path:
    """A folder that has in it what a runtime would call its own."""
    home = folder / "home"
    for name in ("models/mine", "jobs/mine", "blobs", "tls", "trash"):
        (home / name).mkdir(parents=True)
    for name in ("models/mine/weights", "jobs/mine/plan", "blobs/picture", ".letter.tmp", "secrets.json", "runtime.db"):
        (home / name).write_text("mine")
    home.chmod(0o755)
    return home


@pytest.mark.parametrize("words", [("serve", "--model", "tiny"), ("reset",)])
def test_another_folder_is_refused_and_left_as_it_is(tmp_path: Path, words: tuple[str, ...]) -> None:
    home = of_a_user(tmp_path)
    before = everything_in(home)
    assert_one_line(run(home, *words), str(home), "not the state folder", "new or empty", "--state")
    assert everything_in(home) == before


def test_connect_refuses_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WATSONX_APIKEY", raising=False)
    home = of_a_user(tmp_path)
    before = everything_in(home)
    with pytest.raises(ConnectionSetupError, match=r"new or empty: .* LOCAL_WATSONX_STATE"):
        make_connection(model="tiny", state=home)
    assert everything_in(home) == before


def test_claiming_imports_nothing_heavy() -> None:
    code = (
        "import sys, prompt_tuning_helpers.runtime.store.state_marker;"
        "print(sorted({'torch', 'transformers', 'starlette', 'uvicorn', 'trustme', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_empty_folder_becomes_one_and_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    claim(State(folder))
    claim(State(folder))
    assert "local watsonx.ai runtime" in (folder / ".local-watsonx-state").read_text()
    assert {name: mode & 0o777 for name, (mode, _) in everything_in(folder).items()} == {
        "": 0o755,
        ".local-watsonx-state": 0o600,
    }


def test_what_is_written_to_an_open_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    process = subprocess.Popen(serve_command(folder, "--model", "tiny"), stderr=subprocess.PIPE)
    wait_until(lambda: running_endpoint(folder) is not None or process.poll() is not None, 60)
    found = everything_in(folder)
    stop_recorded(folder, 30)
    process.communicate(timeout=30)
    assert stat.S_IMODE(found.pop("")[0]) == 0o755
    assert {"runtime.db", "runtime.log", "tls", "tls/ca.key"} <= found.keys()
    assert {name: oct(mode) for name, (mode, _) in found.items() if mode & 0o077} == {}


def test_the_log_of_a_start_in_the_background_is_private(tmp_path: Path) -> None:
    log = tmp_path / "state" / "started-by-notebook.log"
    log.parent.mkdir()
    (log.parent / "runtime.lock").touch()
    log.touch(mode=0o644)  # as older versions did
    with mock.patch("subprocess.Popen"), mock.patch("atexit.register"), mock.patch.object(_launcher, "wait_for"):
        _launcher.start("tiny", log.parent)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "serve" in log.read_text()


def test_a_folder_of_an_older_version_is_recognised(used: Path) -> None:
    (used / ".local-watsonx-state").unlink()
    (blob,) = (used / "blobs").iterdir()
    serve_once(used)
    assert (used / ".local-watsonx-state").is_file()
    assert blob.is_file()
    assert not (used / "trash").exists()


@pytest.mark.parametrize("left", ["started-by-notebook.log", "runtime.log"])
def test_a_folder_that_an_older_version_has_left_without_content_is_recognised(tmp_path: Path, left: str) -> None:
    (tmp_path / left).touch()
    with pytest.raises(StateError, match="not the state folder"):
        claim(State(tmp_path))
    (tmp_path / "runtime.lock").touch()
    claim(State(tmp_path))
    assert (tmp_path / ".local-watsonx-state").is_file()


def without_secrets(state: Path) -> None:
    (state / "secrets.json").write_text("{}")


def without_tables(state: Path) -> None:
    with closing(sqlite3.connect(state / "runtime.db")) as connection:
        connection.execute("DROP TABLE deployments")


@pytest.mark.parametrize("damage", [without_secrets, without_tables, lambda state: (state / "runtime.db").unlink()])
def test_a_folder_that_only_looks_like_one_of_an_older_version_is_refused(used: Path, damage: Damage) -> None:
    (used / ".local-watsonx-state").unlink()
    damage(used)
    with pytest.raises(StateError, match="not the state folder"):
        claim(State(used))


def test_the_first_start_may_be_looked_at_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other lists the folder while the first has already begun to fill it."""
    state = State(tmp_path)
    listed = Path.iterdir

    def list_late(path: Path) -> object:
        monkeypatch.undo()
        claim(state)
        state.lock.touch()
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", list_late)
    claim(state)


@pytest.mark.parametrize("name", ["blobs", "jobs", "models", "tls", "trash"])
def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    state = State(tmp_path / "state")
    claim(state)
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere" / f".{'0' * 32}.tmp").write_text("mine")
    before = everything_in(tmp_path / "elsewhere")
    (state.root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=f"{name} is a link"):
        claim(state)
    state.clear()
    assert not (state.root / name).is_symlink()
    assert everything_in(tmp_path / "elsewhere") == before


UNREADABLE = """
import errno, os
listed = os.listdir
def refuse(path="."):
    if str(path).endswith("state"): raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return listed(path)
os.listdir = os.scandir = refuse
"""


@pytest.mark.parametrize("words", [("serve", "--model", "tiny"), ("reset",), ("env",), ("status",), ("stop",)])
@pytest.mark.parametrize("kind", ["file", "unreadable"])
def test_each_command_says_that_a_folder_cannot_be_used(tmp_path: Path, words: tuple[str, ...], kind: str) -> None:
    state, change, said = tmp_path / "state", "", "Not a directory"
    if kind == "unreadable":
        claim(State(state))
        change, said = UNREADABLE, "Permission denied"
    else:
        state.write_text("mine")
    answer = run(state, *words, change=change)
    assert_one_line(answer, f"Cannot use the state folder {state}: {said}.", "--state")


def test_the_printed_hint_leads_to_this_runtime(tmp_path: Path) -> None:
    state = tmp_path / "the user's state"
    nothing = run(state, "status")
    assert f"serve --state {shlex.quote(str(state))}" in nothing.stderr
    process = subprocess.Popen(
        [sys.executable, "-u", *serve_command(state, "--model", "tiny")[1:]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().split(" at ")[1].strip()
        program = f"{sys.executable} -m prompt_tuning_helpers.runtime"
        hint = process.stdout.readline().partition("with: ")[2].replace("local-watsonx", program)
        shell = f'{hint}\nprintf %s "$WATSONX_URL"'
        done = subprocess.run(["sh", "-c", shell], cwd=REPOSITORY, capture_output=True, text=True, env=dict(os.environ))
        assert done.stdout == url
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_folder_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """Clients would not trust it either; so that is told at the start and not when the first of them comes."""
    state = State(tmp_path / "state")
    state.root.mkdir()
    state.root.chmod(0o770)
    with pytest.raises(StateError, match="Other users may change"):
        claim(state)
    assert not list(state.root.iterdir())
