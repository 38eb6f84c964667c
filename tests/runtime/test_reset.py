"""``reset`` deletes what a runtime has made, follows no link, and leaves all else as it is."""

from pathlib import Path

from prompt_tuning_helpers.runtime.store.state import State
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.commands import assert_one_line, run
from tests.support.servers import serve_once
from tests.support.state_folders import everything_in


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


def test_reset_on_a_read_only_disk(used: Path) -> None:
    before = everything_in(used)
    assert_one_line(run(used, "reset", change=READ_ONLY), f"Cannot clear {used}", "Read-only file system")
    assert everything_in(used) == before


def test_serve_and_reset_do_not_follow_a_link(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    claim(state)
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    state.blobs.symlink_to(tmp_path / "elsewhere")
    assert_one_line(run(state.root, "serve", "--model", "tiny"), f"{state.blobs} is a link")
    assert run(state.root, "reset").returncode == 0
    assert (tmp_path / "elsewhere" / "mine").is_dir()
