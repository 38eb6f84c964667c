"""The settings that say where the lesson runs, each with the place that it comes from.

What the environment says wins, an empty text included. The rest may stand in a file called ``.env`` in the working
folder. That file is not taken on trust: it may have come with somebody else's archive or repository. So only three
names are read from it, it changes nothing in the environment, and ``connect()`` compares the places before it sends a
key.
"""

import contextlib
import os
import shlex
import stat
import warnings
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from ._ownership import complaint, is_readable_by_others
from ._sdk import ConnectionSetupError
from .i18n import say

ENVIRONMENT = "the environment"
API_KEY, URL, PROJECT_ID = NAMES = ("WATSONX_APIKEY", "WATSONX_URL", "WATSONX_PROJECT_ID")
INSTEAD = f"Or set {', '.join(NAMES)} in the environment; an empty text counts, too. Then the file is not read."


@dataclass(frozen=True)
class Setting:
    """A setting and where it was found.

    Args:
        value: without blanks around it; empty when it is not set.
        source: ``ENVIRONMENT``, or the path of the file; empty when neither names it.
    """

    value: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True)
class Settings:
    """What the user has set.

    Args:
        api_key: the key of IBM Cloud or of a local runtime.
        url: the address of the service.
        project_id: the project on it.
    """

    api_key: Setting
    url: Setting
    project_id: Setting


def read_settings() -> Settings:
    """Read the settings from the environment and, for what that leaves open, from ``.env`` in the working folder.

    Raises:
        ConnectionSetupError: if that file cannot be read, or if other users may have written it.
    """
    found = {name: Setting(os.environ[name].strip(), ENVIRONMENT) for name in NAMES if name in os.environ}
    if len(found) < len(NAMES):
        file = _working_folder() / ".env"
        in_file = _read_file(file)
        found = {name: Setting(value.strip(), str(file)) for name, value in in_file.items()} | found
        if in_file.get(API_KEY) and is_readable_by_others(file.stat()):
            warnings.warn(
                say(
                    "Other users of this computer may read {file}, which holds your API key. Run: {command}",
                    file=file,
                    command=f"chmod go-rwx {shlex.quote(str(file))}",
                ),
                stacklevel=3,  # whoever calls connect()
            )
    return Settings(*(found.get(name, Setting()) for name in NAMES))


def overlooked_file() -> Path | None:
    """Find a ``.env`` with a key that stands above the working folder and so is not read."""
    for folder in _working_folder().parents:
        with contextlib.suppress(ConnectionSetupError):
            if _read_file(folder / ".env").get(API_KEY):
                return folder / ".env"
    return None


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as problem:
        raise ConnectionSetupError(
            f"The working folder cannot be used ({problem.strerror}). Change to one that is there."
        ) from None


def _read_file(file: Path) -> dict[str, str]:
    """Read the settings in a ``.env``; none if it is not there or is about other things.

    Raises:
        ConnectionSetupError: if it cannot be read, or if other users may have written it.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConnectionSetupError(f"{file} is not a file with settings. Rename it. {INSTEAD}")
        with file.open("rb") as opened:
            # If it is a link, also what that leads to; asked of the open file, which nobody can exchange in between.
            distrust = complaint(file, file.lstat()) or complaint(file, os.fstat(opened.fileno()))
            text = opened.read().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise ConnectionSetupError(
            f"{file} cannot be read ({problem.strerror}). Mend or rename it. {INSTEAD}"
        ) from None
    except UnicodeDecodeError:
        raise ConnectionSetupError(f"{file} is not a text in UTF-8. Save it as such, or rename it. {INSTEAD}") from None
    values = _parse(text)
    if not any(name.startswith("WATSONX_") for name in values):
        return {}
    if distrust:
        raise ConnectionSetupError(
            f"{distrust}\nWhoever else writes it could send your API key elsewhere, so it is not used. {INSTEAD}"
        )
    return {name: value for name, value in values.items() if name in NAMES}


def _parse(text: str) -> dict[str, str]:
    """Read the lines of a ``.env``; a value says what stands there and refers to no other variable."""
    from dotenv import dotenv_values

    return {name: value or "" for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items()}
