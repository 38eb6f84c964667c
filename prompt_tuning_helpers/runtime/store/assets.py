"""Assets and their attachments: uploaded files, with the steps that watsonx.ai's asset service takes."""

import json
import sqlite3
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from ..._files import sync_folder
from .database import Database, now


@dataclass(frozen=True)
class Asset:
    """What an asset is called; the file itself is its attachment."""

    id: str
    project_id: str
    name: str
    description: str
    asset_type: str
    mime_type: str
    tags: list[str]
    created_at: str


@dataclass(frozen=True)
class Attachment:
    """A file of an asset; ``size`` is ``None`` until it is uploaded, and clients see it once ``complete``."""

    id: str
    asset_id: str
    name: str
    mime_type: str
    size: int | None
    complete: bool
    created_at: str


class Assets:
    """The assets of all projects.

    Args:
        database: where they are recorded.
        blobs: folder of the uploaded files.
    """

    def __init__(self, database: Database, blobs: Path) -> None:
        self._database = database
        self._blobs = blobs

    def create(
        self,
        project_id: str,
        name: str,
        asset_type: str = "data_asset",
        description: str = "",
        mime_type: str = "",
        tags: list[str] | None = None,
    ) -> Asset:
        """Record an asset without a file."""
        asset = Asset(str(uuid.uuid4()), project_id, name, description, asset_type, mime_type, tags or [], now())
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO assets (id, project_id, name, description, asset_type, mime_type, tags, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    asset.id,
                    project_id,
                    name,
                    description,
                    asset_type,
                    mime_type,
                    json.dumps(asset.tags),
                    asset.created_at,
                ),
            )
        return asset

    def get(self, project_id: str, asset_id: str) -> Asset | None:
        """An asset of a project, if it is there."""
        row = self._database.row("SELECT * FROM assets WHERE id = ? AND project_id = ?", asset_id, project_id)
        return _asset(row) if row else None

    def page(
        self, project_id: str, asset_type: str, limit: int, start: int = 0, name: str | None = None
    ) -> tuple[list[Asset], int]:
        """A page of a project's assets of one type, newest first, and how many there are in all."""
        condition = "project_id = ? AND asset_type = ? AND (? IS NULL OR name = ?)"
        rows = self._database.rows(
            f"SELECT * FROM assets WHERE {condition} ORDER BY position DESC LIMIT ? OFFSET ?",
            project_id,
            asset_type,
            name,
            name,
            limit,
            start,
        )
        total = self._database.row(
            f"SELECT COUNT(*) AS n FROM assets WHERE {condition}", project_id, asset_type, name, name
        )
        return [_asset(row) for row in rows], total["n"] if total else 0

    def delete(self, asset: Asset) -> None:
        """Delete an asset with its files."""
        with self._database.transaction() as connection:
            # Read inside the transaction, so that no file is added in between.
            attachments = self.attachments(asset)
            connection.execute("DELETE FROM assets WHERE id = ?", (asset.id,))
        for attachment in attachments:
            self.remove_content(attachment.id)

    def attach(self, asset: Asset, name: str, mime_type: str) -> Attachment:
        """Record a file that is about to be uploaded."""
        attachment = Attachment(str(uuid.uuid4()), asset.id, name, mime_type, None, False, now())
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO attachments (id, asset_id, name, mime_type, size, complete, created_at)"
                " VALUES (?, ?, ?, ?, NULL, 0, ?)",
                (attachment.id, asset.id, name, mime_type, attachment.created_at),
            )
        return attachment

    def attachments(self, asset: Asset) -> list[Attachment]:
        """An asset's files, in the order in which they were added."""
        rows = self._database.rows("SELECT * FROM attachments WHERE asset_id = ? ORDER BY position", asset.id)
        return [_attachment(row) for row in rows]

    def attachment(self, attachment_id: str) -> Attachment | None:
        """A file by its id, of whichever asset."""
        row = self._database.row("SELECT * FROM attachments WHERE id = ?", attachment_id)
        return _attachment(row) if row else None

    def publish(self, attachment_id: str, received: Path, size: int) -> bool:
        """Make a received file, which must be on disk, an attachment's content.

        Args:
            received: the file; it is moved.
            size: in bytes.

        Returns:
            ``False``, and nothing done, when the attachment was completed or deleted meanwhile.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE attachments SET size = ? WHERE id = ? AND complete = 0", (size, attachment_id)
            ).rowcount
            # Moved once the record can be written and before it is: a size is never recorded without its file.
            if changed:
                received.replace(self.blob(attachment_id))
                sync_folder(self._blobs)
        return changed > 0

    def complete(self, attachment: Attachment) -> Attachment | None:
        """Record that the client has finished uploading a file; ``None``, and nothing done, without its content."""
        with self._database.transaction() as connection:
            try:
                # The file's own size: a crash may have come between a second upload's move and its record.
                size = self.blob(attachment.id).stat().st_size
            except FileNotFoundError:
                return None
            connection.execute("UPDATE attachments SET complete = 1, size = ? WHERE id = ?", (size, attachment.id))
        return replace(attachment, complete=True, size=size)

    def remove_content(self, attachment_id: str) -> None:
        """Remove the file of an attachment whose record was deleted."""
        self.blob(attachment_id).unlink(missing_ok=True)

    def blob(self, attachment_id: str) -> Path:
        """Where a file's content lies; the id is one of ours, never a user's text."""
        return self._blobs / attachment_id


def _asset(row: sqlite3.Row) -> Asset:
    values = {key: row[key] for key in row.keys() if key not in ("position", "tags")}  # noqa: SIM118
    return Asset(**values, tags=json.loads(row["tags"]))


def _attachment(row: sqlite3.Row) -> Attachment:
    values = {key: row[key] for key in row.keys() if key not in ("position", "complete")}  # noqa: SIM118
    return Attachment(**values, complete=bool(row["complete"]))
