"""How this package was installed, so that a message can say how to install the rest of it."""

import json
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

NAME = "prompt-tuning-helpers"


def install_command() -> str:
    """Give the command that adds what the local runtime needs: from where this package came from.

    A package that came from a folder or a file records its address (PEP 610, https://peps.python.org/pep-0610/); one
    that came from a package index does not.
    """
    try:
        record = Distribution.from_name(NAME).read_text("direct_url.json")
        address = json.loads(record)["url"] if record else None
    except PackageNotFoundError:
        address = Path(__file__).parents[1].as_uri()  # a checkout that is on the path
    source = f" @ {address}" if address else ""
    return f'pip install "{NAME}[local]{source}"'
