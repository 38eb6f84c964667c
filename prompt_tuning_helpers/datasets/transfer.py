"""Fetching a file of rows from the web, and uploading one to a project."""

import contextlib
import errno
import hashlib
import http.client
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from ..engine.training_file import FIELDS
from ..i18n import say
from .rows import DatasetError, load_rows, require_usable_frame

if TYPE_CHECKING:
    import pandas as pd
    from ibm_watsonx_ai import APIClient

PATIENCE_SECONDS = 60.0  # without a byte, after which a download is given up


def fetch(url: str, folder: str | os.PathLike[str] = "data", sha256: str | None = None) -> Path:
    """Download a file with ``wget``, unless it is already there.

    The file appears under its name only when it is complete and its hash is right. One that is there with another
    hash than the one asked for is replaced.

    Args:
        url: an http or https address that ends in the name of a file.
        folder: where to put it; made if need be.
        sha256: what the file should hash to, in hexadecimal.

    Returns:
        The file.

    Raises:
        DatasetError: if it cannot be downloaded or stored, or what came does not have the hash.
    """
    name = _file_name(url)
    with _storing(name, folder):
        target = Path(folder).resolve() / name
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and (sha256 is None or _sha256(target) == sha256.lower()):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # wget leaves its temporary file behind when it fails, so give it a folder that goes away in any case
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as temporary:
            part = Path(temporary) / name
            _download(url, part)
            found = _sha256(part)
            if sha256 is not None and found != sha256.lower():
                raise DatasetError(
                    say(
                        "{url} is not the file that was expected: its SHA-256 is {found} and not {sha256}.",
                        url=url,
                        found=found,
                        sha256=sha256.lower(),
                    )
                )
            part.replace(target)
    return target


def _file_name(url: str) -> str:
    """Give the last part of an address, which must not lead out of a folder."""
    try:
        parts = urlsplit(url)
        name = unquote(parts.path).replace("\\", "/").rsplit("/", 1)[-1]
        usable = parts.scheme in ("http", "https") and parts.netloc and name not in ("", ".", "..") and "\0" not in name
    except ValueError:
        usable = False
    if not usable:
        raise DatasetError(say("{url} is not an http or https address of a file.", url=url))
    return name


@contextlib.contextmanager
def _storing(name: str, folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the file system, or of a name that it cannot have, into one message."""
    try:
        yield
    except DatasetError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DatasetError(
            say("{file} cannot be stored in {folder}: {why}.", file=name, folder=folder, why=why)
        ) from error


def _download(url: str, file: Path) -> None:
    import wget

    # wget quotes the path itself, and would quote a quoted one again
    parts = urlsplit(url)
    unquoted = urlunsplit(parts._replace(path=unquote(parts.path)))
    try:
        with _impatient():
            wget.download(unquoted, out=str(file), bar=lambda now, total, width: _progress(file.name, now, total))
    except HTTPError as error:
        why = say("the server answered {code} {reason}", code=error.code, reason=error.reason)
        raise DatasetError(say("{url} cannot be downloaded: {why}.", url=url, why=why)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DatasetError(say("{url} cannot be downloaded: {why}.", url=url, why=error)) from error
    finally:
        print()  # ends the line of the progress


def _progress(name: str, now: int, total: int) -> str:
    # without a Content-Length there is no total, and nothing to say but that it goes on
    if total <= 0:
        return f"{name} ..."
    return say("{name} {part:4.0%} of {size:,.1f} kB", name=name, part=now / total, size=total / 1000)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    # urllib, which wget uses, would wait for a silent server for ever
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(client: "APIClient", data: "str | os.PathLike[str] | pd.DataFrame", name: str | None = None) -> str:
    """Store rows as a data asset of the client's project.

    The service takes a JSON list and uses nothing but ``input`` and ``output``: so that is what is sent, whatever
    format and further columns the file has.

    Args:
        client: an ``APIClient`` with a default project.
        data: a file for :func:`load_rows`, or its rows.
        name: what to call the asset; when left out, the file's own name, or ``rows``, ending in ``.json``.

    Returns:
        The id of the data asset.

    Raises:
        DatasetError: if the file or a row cannot be used.
    """
    if isinstance(data, str | os.PathLike):
        stem, frame = Path(data).stem, load_rows(data)
    else:
        stem, frame = "rows" if name is None else Path(name).stem, data
        require_usable_frame(frame, say("the data"))
    rows = frame[list(FIELDS)].to_dict("records")
    with tempfile.TemporaryDirectory() as folder:
        # cut off, since the new ending may be longer than the old one, and names are not to pass 255 bytes
        file = Path(folder) / f"{stem[:50]}.json"
        file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        details = client.data_assets.create(name=name or f"{stem}.json", file_path=str(file))
    return str(client.data_assets.get_id(details))
