"""Assets and their attachments: uploaded files, with the steps that watsonx.ai's asset service takes."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..._files import sync_folder
from .database import Database
from .table import Table


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
        self._assets = Table(database, "assets", Asset, json_columns=("tags",))
        self._attachments = Table(database, "attachments", Attachment)
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
        asset = Asset(
            str(uuid.uuid4()),
            project_id,
            name,
            description,
            asset_type,
            mime_type,
            tags or [],
            self._database.now(),
        )
        self._assets.insert(asset)
        return asset

    def get(self, project_id: str, asset_id: str) -> Asset | None:
        """Give an asset of a project, if it is there."""
        return self._assets.get(id=asset_id, project_id=project_id)

    def page(
        self,
        project_id: str,
        asset_type: str,
        limit: int,
        start: int = 0,
        name: str | None = None,
        wanted: Callable[[Asset], bool] | None = None,
    ) -> tuple[list[Asset], int]:
        """Give a page of a project's assets of one type, newest first, and how many there are in all."""
        return self._assets.page(limit, start, wanted, project_id=project_id, asset_type=asset_type, name=name)

    def delete(self, asset: Asset) -> None:
        """Delete an asset with its files."""
        with self._database.transaction():
            # Read inside the transaction, so that no file is added in between.
            attachments = self.attachments(asset)
            self._assets.delete(id=asset.id)
        for attachment in attachments:
            self.remove_content(attachment.id)

    def delete_all(self, project_id: str) -> list[str]:
        """Delete the records of a project's assets and of their files; give the files' ids."""
        attachments = self._attachments.select("asset_id IN (SELECT id FROM assets WHERE project_id = ?)", project_id)
        self._assets.delete(project_id=project_id)
        return [attachment.id for attachment in attachments]

    def attach(self, asset: Asset, name: str, mime_type: str) -> Attachment:
        """Record a file that is about to be uploaded."""
        attachment = Attachment(str(uuid.uuid4()), asset.id, name, mime_type, None, False, self._database.now())
        self._attachments.insert(attachment)
        return attachment

    def attachments(self, asset: Asset) -> list[Attachment]:
        """Give an asset's files, in the order in which they were added."""
        return self._attachments.select("asset_id = ?", asset.id)

    def attachment(self, attachment_id: str) -> Attachment | None:
        """Give a file by its id, of whichever asset."""
        return self._attachments.get(id=attachment_id)

    def publish(self, attachment_id: str, received: Path, size: int) -> bool:
        """Make a received file, which must be on disk, an attachment's content.

        Args:
            attachment_id: of the attachment.
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
        """Record that the client has finished uploading a file; give ``None``, and do nothing, without its content."""
        with self._database.transaction():
            try:
                # The file's own size: a crash may have come between a second upload's move and its record.
                size = self.blob(attachment.id).stat().st_size
            except FileNotFoundError:
                return None
            completed = replace(attachment, complete=True, size=size)
            self._attachments.update(completed, "complete", "size")
        return completed

    def remove_content(self, attachment_id: str) -> None:
        """Remove the file of an attachment whose record was deleted."""
        self.blob(attachment_id).unlink(missing_ok=True)

    def blob(self, attachment_id: str) -> Path:
        """Say where a file's content lies; the id is one of ours, never a user's text."""
        return self._blobs / attachment_id
