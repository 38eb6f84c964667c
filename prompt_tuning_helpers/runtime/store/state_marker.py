"""Which folders are state folders: a runtime deletes and overwrites only in these. Imports nothing heavy."""

import os

from ..._files import PRIVATE_FILE, make_private_folder, sync_file, sync_folder
from ..._ownership import complaint
from ..program import PROGRAM
from .database import is_of_runtime
from .state import State, StateError, read_secrets

TEXT = f"""\
This folder holds the state of a local watsonx.ai runtime, which is a part of the Python package prompt-tuning-helpers:
its keys, uploaded data and tuned models. To end the runtime and delete what it keeps here, run
    {PROGRAM} reset --state FOLDER
This file says that the folder may be used in that way.
"""


def claim(state: State) -> None:
    """Make sure that a folder is a runtime's; one that is new or empty becomes one.

    Raises:
        StateError: when it is another folder, in which nothing was changed, or a part of it is not what it should be.
        OSError: when it cannot be used.
    """
    make_private_folder(state.root)
    check_claimed(state)
    if distrust := complaint(state.root, state.root.stat()):
        # Clients would not trust what it says of a runtime either.
        raise StateError(f"{distrust} A runtime's keys are kept there.")
    state.check()
    if not state.marker.is_file():
        descriptor = os.open(state.marker, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(TEXT.encode())
            sync_file(file)
        sync_folder(state.root)


def check_claimed(state: State) -> None:
    """Make sure that a folder is empty or a runtime's.

    Raises:
        StateError: when it is neither.
        OSError: when it cannot be read.
    """
    # Listed before the look for the marker, which another start may be writing: it comes before anything else.
    names = {path.name for path in state.root.iterdir()}
    if not state.marker.is_file() and names and not _is_of_older_version(state, names):
        raise StateError(
            f"{state.root} is not empty, and not the state folder of a local watsonx.ai runtime, so nothing in it was "
            "changed. Name a folder that is new or empty: with --state, or for a notebook in LOCAL_WATSONX_STATE."
        )


def _is_of_older_version(state: State, names: set[str]) -> bool:
    """Say whether a folder without a marker was made by a version that wrote none."""
    # What is left there of a reset, or of a start that failed.
    if {state.lock.name} <= names <= {state.lock.name, state.log.name, state.notebook_log.name}:
        return True
    try:
        read_secrets(state)
    except StateError:
        return False
    return is_of_runtime(state.database)
