"""Writing files and folders so that they are whole or absent, and on disk when the call returns."""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
TEMPORARY = f"{'[0-9a-f]' * 32}.tmp"


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner reads; one that is there stays as it is."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on disk, which a file's own fsync does not do."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: BinaryIO) -> None:
    """Put on disk what was written to a file so far."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a private file of a new name, and give it with its path; remove it at the end, unless it was moved."""
    path = folder / f".{uuid.uuid4().hex}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


class AtomicFile:
    """A private file that appears under its name only once it is whole and on disk.

    Args:
        path: the file's final name; a half-written file lies beside it as ``.<name>.<random>.tmp``.

    Used as a context manager: leaving it normally publishes the file, leaving it by an exception removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = _temporary_beside(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        """Open the temporary file for writing."""
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        self._file = os.fdopen(descriptor, "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Publish the file, or remove what was written."""
        assert self._file is not None
        try:
            if kind is None:
                sync_file(self._file)
            self._file.close()
            if kind is None:
                self._temporary.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a whole private file atomically."""
    with AtomicFile(path) as file:
        file.write(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give an empty private folder that appears under its name only once all in it is on disk.

    Args:
        folder: its final path; must not exist. The half-written folder lies beside it as ``.<name>.<random>.tmp``.

    Leaving the context normally publishes the folder, leaving it by an exception removes it.
    """
    temporary = _temporary_beside(folder)
    temporary.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_dir():
                sync_folder(path)
            else:
                with path.open("r+b") as file:
                    sync_file(file)
        sync_folder(temporary)
        temporary.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def remove_temporary_files(folder: Path, name: str | None = None) -> None:
    """Remove what interrupted writes left behind.

    Args:
        folder: where to look; folders in it stay.
        name: the final name of the file that was written; any by default.
    """
    for leftover in folder.glob(f".{glob.escape(name)}.{TEMPORARY}" if name else f".*{TEMPORARY}"):
        if leftover.is_symlink() or not leftover.is_dir():
            leftover.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link but not what it leads to; it may not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
