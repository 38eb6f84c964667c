"""Places where the lesson may run: a key, a region, settings in a file, and a runtime that seems to be up."""

from pathlib import Path
from typing import Any
from unittest import mock

KEY = "a-very-secret-key"

FRANKFURT = "https://eu-de.ml.cloud.ibm.com"


def write_dotenv(folder: Path, *lines: str) -> Path:
    """Put settings into a file of the user's own."""
    file = folder / ".env"
    file.write_text("\n".join(lines), encoding="utf-8")
    file.chmod(0o600)
    return file


def running(endpoint: object) -> Any:
    return mock.patch("prompt_tuning_helpers.runtime.endpoint.running_endpoint", return_value=endpoint)
