"""A state folder with damaged, missing or stray files: they are named, and nothing is lost."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.store.state import State, StateError, load_secrets
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.commands import assert_one_line, run
from tests.support.servers import serve_once
from tests.support.state_folders import everything_in

Damage = Callable[[Path], None]


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
