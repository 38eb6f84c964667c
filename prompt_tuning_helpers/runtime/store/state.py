"""The state folder: where everything lies, and the secrets made once for it."""

import json
import secrets
import shlex
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..._files import make_private_folder, remove, remove_temporary_files, write_file
from ..program import PROGRAM

OLD_LOGS = 3  # beside the newest one


class StateError(Exception):
    """A state folder cannot be used as it is; the message says why, and what to do."""


@dataclass(frozen=True)
class State:
    """The folder of one runtime; only its owner can read it.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def marker(self) -> Path:
        """Says what the folder is; without it, nothing in the folder is touched."""
        return self.root / ".local-watsonx-state"

    @property
    def lock(self) -> Path:
        """Held by the one runtime that uses the folder."""
        return self.root / "runtime.lock"

    @property
    def users(self) -> Path:
        """Locked by the processes that use the runtime. It is never removed, so that all lock the same file."""
        return self.root / "users.lock"

    @property
    def endpoint(self) -> Path:
        """Where the running runtime is found."""
        return self.root / "endpoint.json"

    @property
    def secrets(self) -> Path:
        """The API key and the key that signs tokens."""
        return self.root / "secrets.json"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "runtime.db"

    @property
    def log(self) -> Path:
        """The runtime's log file."""
        return self.root / "runtime.log"

    @property
    def notebook_log(self) -> Path:
        """What a runtime printed that was started in the background."""
        return self.root / "started-by-notebook.log"

    @property
    def certificates(self) -> Path:
        """The private CA, the server's certificate and the bundle for clients."""
        return self.root / "tls"

    @property
    def blobs(self) -> Path:
        """Uploaded files, by attachment id."""
        return self.root / "blobs"

    @property
    def jobs(self) -> Path:
        """One folder per training, by its id."""
        return self.root / "jobs"

    @property
    def models(self) -> Path:
        """One soft prompt per tuned model, by its id."""
        return self.root / "models"

    @property
    def trash(self) -> Path:
        """What lay in the other folders and no record named, by the time at which it was found."""
        return self.root / "trash"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a runtime makes."""
        return (self.certificates, self.blobs, self.jobs, self.models, self.trash)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that a runtime makes, but for the marker and what is locked."""
        database = (self.database.with_name(self.database.name + end) for end in ("", "-wal", "-shm", "-journal"))
        logs = (self.log.with_name(self.log.name + end) for end in ("", *(f".{n + 1}" for n in range(OLD_LOGS))))
        return (*database, *logs, self.notebook_log, self.secrets, self.endpoint)

    @property
    def remedy(self) -> str:
        """What to do about a part that is damaged."""
        reset = f"{PROGRAM} reset --state {shlex.quote(str(self.root))}"
        return (
            f"Restore it from a backup, name another state folder, or start afresh with `{reset}`, which deletes all "
            "that the runtime keeps there."
        )

    def check(self) -> None:
        """Make sure that what a runtime makes is what it should be: a link could lead to what is not the runtime's.

        Raises:
            StateError: when a folder lies where a file should, or anything but a folder where a folder should.
        """
        for file in self.files:
            if file.is_dir():
                raise StateError(f"{file} is a folder where the runtime keeps a file. {self.remedy}")
        for folder in self.folders:
            if folder.is_symlink():
                raise StateError(
                    f"{folder} is a link; the runtime deletes files there, so it must be a folder of its own. Replace "
                    "the link by what it leads to, or name another state folder."
                )
            if folder.exists() and not folder.is_dir():
                raise StateError(f"{folder} is not a folder. {self.remedy}")

    def prepare(self) -> None:
        """Make the folders and clear what an interrupted run left half-written."""
        for folder in (self.root, self.certificates, self.blobs, self.jobs, self.models):
            make_private_folder(folder)
            remove_temporary_files(folder)

    def clear(self) -> None:
        """Remove everything a runtime made here, and nothing else; the folder is still a state folder."""
        for path in (*self.folders, *self.files):
            remove(path)
        remove_temporary_files(self.root)


@dataclass(frozen=True)
class Secrets:
    """What clients and the runtime share.

    Args:
        api_key: the key that is exchanged for a token; letters, digits, ``-`` and ``_`` only, because the SDK
            does not URL-encode it.
        signing_key: signs tokens and links.
        project_id: the project that is always there.
    """

    api_key: str = field(repr=False)
    signing_key: str = field(repr=False)
    project_id: str


def read_secrets(state: State) -> Secrets:
    """Read the secrets of a state folder.

    Raises:
        StateError: when they cannot be read.
    """
    try:
        made = Secrets(**json.loads(state.secrets.read_text(encoding="utf-8")))
        if all(isinstance(value, str) and value for value in asdict(made).values()):
            return made
    except (OSError, ValueError, TypeError):
        pass
    raise StateError(f"{state.secrets} is damaged: it does not hold the runtime's keys. {state.remedy}")


def load_secrets(state: State) -> Secrets:
    """Read the secrets of a state folder, or make them the first time.

    Raises:
        StateError: when they are there and cannot be read.
    """
    if state.secrets.exists():
        return read_secrets(state)
    made = Secrets(
        api_key=secrets.token_urlsafe(32), signing_key=secrets.token_urlsafe(32), project_id=str(uuid.uuid4())
    )
    write_file(state.secrets, json.dumps(asdict(made)).encode())
    return made
