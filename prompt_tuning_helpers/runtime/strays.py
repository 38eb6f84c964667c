"""Files that no record names, as an interrupted call leaves them, or the loss of the records."""

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from .._files import make_private_folder
from .context import Runtime

logger = logging.getLogger(__name__)


def move_strays_to_trash(runtime: Runtime) -> None:
    """Move files that no record names to the state folder's trash, and say so; only while no call is under way."""
    state, rows = runtime.state, runtime.database.rows
    known_by_folder = {
        state.blobs: rows("SELECT id FROM attachments"),
        # A model may lie in its place before it is recorded, under the id that its training has for it.
        state.models: rows("SELECT id FROM models UNION SELECT model_id FROM trainings"),
        state.jobs: rows("SELECT id FROM trainings"),
    }
    strays: list[Path] = []
    for folder, known in known_by_folder.items():
        names = {row["id"] for row in known}
        strays += [path for path in folder.iterdir() if path.name not in names and not path.name.startswith(".")]
    if not strays:
        return
    make_private_folder(state.trash)
    trash = Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-", dir=state.trash))
    for stray in strays:
        make_private_folder(trash / stray.parent.name)
        stray.rename(trash / stray.parent.name / stray.name)
    if runtime.database.was_made:
        logger.warning(
            "%s was not there, so a new one was made, which knows nothing of what lay in the folder: %d files and "
            "folders. They are now in %s.",
            *(state.database, len(strays), trash),
        )
    else:
        logger.warning(
            "%d files and folders that no record names, as an interrupted call leaves them, are now in %s; delete them "
            "unless you miss something.",
            *(len(strays), trash),
        )
