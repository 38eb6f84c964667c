"""What a state folder is: one that is new, empty or marked. Any other is left as it is, and nothing is ever lost."""

import json
import os
import shlex
import signal
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
from prompt_tuning_helpers.runtime.store.state import State, StateError, load_secrets
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.calls import ROWS
from tests.support.calls import upload as upload_to
from tests.support.environment import REPOSITORY
from tests.support.servers import connect, fake_command, serve_command, start_runtime, wait_until
from tests.support.state_folders import everything_in

Damage = Callable[[Path], None]


def run(state: Path, *words: str, change: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run the command line on a state folder, after some Python that changes the circumstances."""
    program = f"import runpy; {change}; runpy.run_module('prompt_tuning_helpers.runtime', run_name='__main__')"
    command = [sys.executable, "-c", program, *words, "--state", str(state)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def assert_one_line(answer: subprocess.CompletedProcess[str], *said: str) -> None:
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    for part in said:
        assert part in answer.stderr


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


def serve_once(state: Path) -> str:
    """Serve for a moment; gives the log."""
    process, _ = start_runtime(state, fake_command(state))
    process.terminate()
    assert process.wait(30) == 0
    return (state / "runtime.log").read_text()


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A state folder with a file in it, whose runtime was killed: its records are still beside the database."""
    state = tmp_path / "state"
    process, endpoint = start_runtime(state, fake_command(state))
    with connect(endpoint) as client:
        upload_to(client, {"project_id": endpoint.project_id}, json.dumps(ROWS).encode())
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    return state


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


def test_without_its_database_a_folder_loses_nothing(used: Path) -> None:
    (used / "models" / "a-model").mkdir()
    (used / "models" / "a-model" / "weights").write_text("learnt")
    (blob,) = (used / "blobs").iterdir()
    content = blob.read_bytes()
    for name in ("runtime.db", "runtime.db-wal", "runtime.db-shm"):
        (used / name).unlink(missing_ok=True)
    log = serve_once(used)
    (trash,) = (used / "trash").iterdir()
    assert f"{used / 'runtime.db'} was not there" in log
    assert str(trash) in log
    assert (trash / "blobs" / blob.name).read_bytes() == content
    assert (trash / "models" / "a-model" / "weights").read_text() == "learnt"


def test_strays_go_to_the_trash_and_stop_nothing(used: Path, tmp_path: Path) -> None:
    (blob,) = (used / "blobs").iterdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    for folder in ("blobs", "jobs", "models"):
        (used / folder / "folder").mkdir()
        (used / folder / "link").symlink_to(tmp_path / "elsewhere")
        (used / folder / "odd \n name").write_text("stray")
    (used / "blobs" / ".hidden").write_text("mine")
    (used / "blobs" / f".{'0' * 32}.tmp").mkdir()
    log = serve_once(used)
    (trash,) = (used / "trash").iterdir()
    assert f"9 files and folders that no record names, as an interrupted call leaves them, are now in {trash}" in log
    assert {str(path.relative_to(trash)) for path in trash.glob("*/*")} == {
        f"{folder}/{name}" for folder in ("blobs", "jobs", "models") for name in ("folder", "link", "odd \n name")
    }
    assert (tmp_path / "elsewhere" / "mine").read_text() == "mine"
    assert blob.is_file()
    assert (used / "blobs" / ".hidden").is_file()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (used / "trash", trash)} == {0o700}


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


def test_serve_and_reset_do_not_follow_a_link(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    claim(state)
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    state.blobs.symlink_to(tmp_path / "elsewhere")
    assert_one_line(run(state.root, "serve", "--model", "tiny"), f"{state.blobs} is a link")
    assert run(state.root, "reset").returncode == 0
    assert (tmp_path / "elsewhere" / "mine").is_dir()


def test_reset_deletes_what_a_runtime_makes_and_nothing_else(used: Path) -> None:
    (used / "blobs" / "stray").write_text("stray")
    (used / "started-by-notebook.log").write_text("serve")
    serve_once(used)
    users = ("notes.txt", "runtime.db.backup", "runtime.log.old", ".letter.tmp")
    for name in users:
        (used / name).write_text("mine")
    (used / "endpoint.json").mkdir()
    assert run(used, "reset").stdout == f"Cleared {used}.\n"
    assert {path.name for path in used.iterdir()} == {*users, ".local-watsonx-state", "runtime.lock"}
    serve_once(used)


def test_there_is_nothing_to_reset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for state in (tmp_path / "empty", tmp_path / "new"):
        answer = run(state, "reset")
        assert (answer.returncode, answer.stdout) == (0, f"There is nothing in {state}.\n")
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


READ_ONLY = """
import errno, os
opened, unlinked = os.open, os.unlink
def refuse(path, *_, **__): raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
def open_to_read(path, flags, *words, **named):
    return refuse(path) if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else opened(path, flags, *words, **named)
os.open, os.unlink, os.mkdir = open_to_read, refuse, refuse
"""


def change_to(script: str) -> str:
    return f"exec({script!r})"


def test_reset_on_a_read_only_disk(used: Path) -> None:
    before = everything_in(used)
    assert_one_line(run(used, "reset", change=change_to(READ_ONLY)), f"Cannot clear {used}", "Read-only file system")
    assert everything_in(used) == before


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
    state, change, said = tmp_path / "state", "pass", "Not a directory"
    if kind == "unreadable":
        claim(State(state))
        change, said = change_to(UNREADABLE), "Permission denied"
    else:
        state.write_text("mine")
    answer = run(state, *words, change=change)
    assert_one_line(answer, f"Cannot use the state folder {state}: {said}.", "--state")


def empty(path: Path) -> None:
    path.write_text("")


def garble(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def hold_other_types(path: Path) -> None:
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), 7)))


def hold_a_list(path: Path) -> None:
    path.write_text("[1]")


def hold_another_key(path: Path) -> None:
    path.write_text(json.dumps({"api_key": "k"}))


def become_a_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [empty, garble, cut, hold_other_types, hold_a_list, hold_another_key, become_a_folder]
)
def test_damaged_secrets_are_named_and_kept(tmp_path: Path, damage: Damage) -> None:
    state = State(tmp_path)
    load_secrets(state)
    damage(state.secrets)
    before = everything_in(tmp_path)
    with pytest.raises(StateError, match=rf"secrets.json is damaged.* Restore it.* reset --state {tmp_path}"):
        load_secrets(state)
    assert everything_in(tmp_path) == before


def test_a_start_over_damaged_secrets_loses_nothing(used: Path) -> None:
    cut(used / "secrets.json")
    before = everything_in(used)
    assert_one_line(run(used, "serve", "--model", "tiny"), f"{used / 'secrets.json'} is damaged", "reset --state")
    after = everything_in(used)
    assert {name for name in before if after.get(name) != before[name]} <= {"runtime.log", "endpoint.json"}
    assert run(used, "reset").returncode == 0
    serve_once(used)


@pytest.mark.parametrize("damage", [garble, hold_other_types])
def test_a_damaged_record_of_an_earlier_run_is_replaced(used: Path, damage: Damage) -> None:
    damage(used / "endpoint.json")
    assert run(used, "status").returncode == 3
    serve_once(used)


@pytest.mark.parametrize(
    "name", ["secrets.json", "endpoint.json", "runtime.db", "runtime.log", "started-by-notebook.log"]
)
def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    state = State(tmp_path)
    claim(state)
    (tmp_path / name).mkdir()
    with pytest.raises(StateError, match=rf"{name} is a folder where the runtime keeps a file"):
        claim(state)


def test_a_folder_in_place_of_a_file_is_no_trouble_after_a_reset(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    claim(state)
    for name in ("secrets.json", "endpoint.json", "runtime.db", "runtime.log"):
        (state.root / name).mkdir()
    assert_one_line(run(state.root, "serve", "--model", "tiny"), "is a folder where", f"reset --state {state.root}")
    assert run(state.root, "reset").returncode == 0
    serve_once(state.root)


def test_a_damaged_database_is_named(used: Path) -> None:
    serve_once(used)  # after a kill, the log beside the database would restore it
    (used / "runtime.db").write_text("no database" * 1000)
    assert_one_line(
        run(used, "serve", "--model", "tiny"), "runtime.db is damaged: file is not a database", "Restore it"
    )


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
