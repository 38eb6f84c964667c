"""Files and folders are whole or absent, whatever interrupts their writing, and private."""

import os
import stat
from pathlib import Path

import pytest

from prompt_tuning_helpers._files import AtomicFile, atomic_folder, remove_temporary_files, write_file


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "soft_prompt"
    with atomic_folder(folder) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "weights").write_bytes(b"1")
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "inner" / "weights").read_bytes() == b"1"
    assert mode_of(folder) == 0o700


def test_a_folder_is_on_disk_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, synced, sync = tmp_path / "soft_prompt", [], os.fsync

    def record(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, folder.exists()))
        sync(descriptor)

    monkeypatch.setattr("prompt_tuning_helpers._files.os.fsync", record)
    with atomic_folder(folder) as temporary:
        (temporary / "weights").write_bytes(b"1")
    inodes = [path.stat().st_ino for path in (folder / "weights", folder, tmp_path)]
    assert synced == list(zip(inodes, (False, False, True), strict=True))


def test_of_a_folder_that_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), atomic_folder(tmp_path / "soft_prompt") as temporary:
        temporary.write_bytes(b"1")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "soft_prompt"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    with pytest.raises(OSError, match="not empty"), atomic_folder(folder) as temporary:
        (temporary / "weights").write_bytes(b"2")
    assert (folder / "weights").read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_interrupted_writes_left_is_removed(tmp_path: Path) -> None:
    leftovers = []
    for name in ("checkpoint", "job.json"):
        file = AtomicFile(tmp_path / name)
        file.__enter__().close()  # as if the process had ended here
        leftovers += [path for path in tmp_path.iterdir() if path not in leftovers]
    write_file(tmp_path / "checkpoint", b"1")
    assert mode_of(tmp_path / "checkpoint") == 0o600
    remove_temporary_files(tmp_path, "checkpoint")
    assert set(tmp_path.iterdir()) == {tmp_path / "checkpoint", leftovers[1]}
    remove_temporary_files(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint"]
