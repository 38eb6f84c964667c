"""The state folder: where everything lies, and the secrets made once for it."""

import json
import secrets
import shutil
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .files import make_private_folder, remove_temporary_files, write_file


@dataclass(frozen=True)
class State:
    """The folder of one runtime; only its owner can read it.

    Args:
        root: the folder.
    """

    root: Path

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

    def prepare(self) -> None:
        """Make the folders and clear what an interrupted run left half-written."""
        for folder in (self.root, self.certificates, self.blobs, self.jobs, self.models):
            make_private_folder(folder)
            remove_temporary_files(folder)

    def clear(self) -> None:
        """Remove everything a runtime made here, and nothing else."""
        for folder in (self.certificates, self.blobs, self.jobs, self.models):
            shutil.rmtree(folder, ignore_errors=True)
        for pattern in ("runtime.db*", "runtime.log*", "secrets.json", "endpoint.json", ".*.tmp"):
            for file in self.root.glob(pattern):
                file.unlink(missing_ok=True)


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


def load_secrets(state: State) -> Secrets:
    """Read the secrets of a state folder, or make them the first time."""
    if state.secrets.exists():
        return Secrets(**json.loads(state.secrets.read_text(encoding="utf-8")))
    made = Secrets(
        api_key=secrets.token_urlsafe(32), signing_key=secrets.token_urlsafe(32), project_id=str(uuid.uuid4())
    )
    write_file(state.secrets, json.dumps(asdict(made)).encode())
    return made
