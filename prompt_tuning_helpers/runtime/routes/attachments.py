"""Attachments: the file of a data asset, uploaded and downloaded through a link that carries its own token."""

from collections.abc import AsyncIterator, MutableMapping
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ..._files import sync_file, temporary_file
from ..http.body import read_pieces
from ..http.errors import ApiError, bad_request, error_response, not_found
from ..http.multipart import file_content
from ..store.assets import Attachment
from ..tokens import LINK_SECONDS, InvalidToken
from .assets import attachment_document, find_asset
from .operations import Operation, RequestContext

LARGEST_UPLOAD = 256 * 2**20


def create_attachment(context: RequestContext) -> Response:
    """Announce a file and get the link to upload it to."""
    body = context.fields()
    if body.flag("is_remote") or body.values.get("connection_id") is not None:
        raise bad_request("Data behind a connection is not offered here: upload the file itself.")
    body.choice("asset_type", ("data_asset",))
    name = body.required_text("name", 255)
    mime_type = body.text("mime", 255) or "application/octet-stream"
    attachment = context.runtime.assets.attach(find_asset(context, context.project_id()), name, mime_type)
    document = {
        **attachment_document(attachment),
        "attachment_id": attachment.id,
        "url1": _link(context, attachment, "upload"),
    }
    return context.answer(document, 201)


async def upload(context: RequestContext) -> Response:
    """Receive a file, straight to disk."""
    attachment, dialect = await run_in_threadpool(_linked, context, "upload")
    if attachment.complete:
        raise _complete()
    announced = context.request.headers.get("Content-Length")
    if announced is not None and announced.isdecimal() and int(announced) > LARGEST_UPLOAD:
        raise _too_large()
    parts: AsyncIterator[bytes] = read_pieces(context.request)
    if dialect == "cpd":
        parts = file_content(parts, context.request.headers.get("Content-Type", ""))
    with temporary_file(context.runtime.state.blobs) as (file, received):
        size = await _receive(parts, file)
        if not await run_in_threadpool(context.runtime.assets.publish, attachment.id, received, size):
            await run_in_threadpool(_linked, context, "upload")  # says so if it was deleted
            raise _complete()
    return JSONResponse({"size": size}, status_code=201)


async def _receive(parts: AsyncIterator[bytes], file: BinaryIO) -> int:
    """Write an upload to disk; gives its size."""
    size = 0
    async for part in parts:
        size += len(part)
        if size > LARGEST_UPLOAD:
            raise _too_large()
        await run_in_threadpool(file.write, part)
    await run_in_threadpool(sync_file, file)
    return size


def complete_attachment(context: RequestContext) -> Response:
    """Finish an upload; from here on the file is part of the asset."""
    # One transaction: no upload changes the file between these checks and the record.
    with context.runtime.database.transaction():
        attachment = _named(context)
        if attachment.size is None:
            raise bad_request("Nothing was uploaded yet: PUT the file to the attachment's url1 first.")
        if attachment.size == 0:
            raise bad_request("The uploaded file is empty: upload one with content.")
        complete = context.runtime.assets.complete(attachment)
        if complete is None:
            raise bad_request("The uploaded file is no longer there: upload it again.")
    return context.answer(attachment_document(complete))


def get_attachment(context: RequestContext) -> Response:
    """Give a file's description, with the link to download it from."""
    attachment = _named(context)
    document: dict[str, Any] = attachment_document(attachment)
    if attachment.complete:
        document["url"] = _link(context, attachment, "download")
    return context.answer(document)


def download(context: RequestContext) -> Response:
    """Send a file's content."""
    attachment, _ = _linked(context, "download")
    path = context.runtime.assets.blob(attachment.id)
    try:
        stat = path.stat() if attachment.complete else None
    except FileNotFoundError:
        stat = None
    if stat is None:
        raise not_found("This attachment has no content: upload its file again.")
    # Never the user's type: a browser must not take an upload for a page of this host.
    return Download(path, media_type="application/octet-stream", stat_result=stat)


class Download(FileResponse):
    """A file, or the part of it that a Range header asks for; a wrong one is answered in the API's error shape."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal: Response | None = None

        async def pass_on(message: MutableMapping[str, Any]) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refusal = _range_refusal(message["status"])
                refusal.headers.update(
                    {name.decode(): value.decode() for name, value in message["headers"] if name == b"content-range"}
                )
            elif refusal is None:
                await send(message)

        await super().__call__(scope, receive, pass_on)
        if refusal is not None:
            await refusal(scope, receive, send)


def _range_refusal(status: int) -> Response:
    if status == 416:
        return error_response(status, "range_not_satisfiable", "The file ends before this range: ask for less of it.")
    return error_response(status, "invalid_range", "The Range header must have the form bytes=first-last.")


def _named(context: RequestContext) -> Attachment:
    asset = find_asset(context, context.project_id())
    for attachment in context.runtime.assets.attachments(asset):
        if attachment.id == context.path("attachment_id"):
            return attachment
    raise not_found("This asset has no attachment of this id.")


def _link(context: RequestContext, attachment: Attachment, purpose: str) -> str:
    token, _ = context.runtime.tokens.issue(purpose, LINK_SECONDS, attachment=attachment.id, dialect=context.dialect)
    # In Cloud Pak for Data mode the SDK puts the host before a link.
    host = "" if context.dialect == "cpd" else context.runtime.url
    return f"{host}/{purpose}/{token}"


def _linked(context: RequestContext, purpose: str) -> tuple[Attachment, str]:
    """Find the attachment of a link, and the dialect of the client that got the link."""
    try:
        claims = context.runtime.tokens.check(context.path("token"), purpose)
    except InvalidToken as error:
        reason = "has expired" if error.expired else "is not one of this runtime's"
        raise ApiError(403, "link_not_valid", f"This {purpose} link {reason}: ask for the attachment again.") from None
    attachment = context.runtime.assets.attachment(str(claims["attachment"]))
    if attachment is None:
        raise not_found("The attachment of this link was deleted.")
    return attachment, str(claims.get("dialect", "cloud"))


def _complete() -> ApiError:
    return ApiError(409, "attachment_complete", "This attachment is complete: create a new asset for a new file.")


def _too_large() -> ApiError:
    return ApiError(413, "file_too_large", f"A file may have at most {LARGEST_UPLOAD} bytes: upload a smaller one.")


OPERATIONS = [
    Operation(
        "POST",
        "/v2/assets/{asset_id}/attachments",
        create_attachment,
        "Announce an asset's file",
        fields=("asset_type", "name", "mime", "is_remote", "connection_id"),
        differs="no connections",
    ),
    Operation(
        "POST",
        "/v2/assets/{asset_id}/attachments/{attachment_id}/complete",
        complete_attachment,
        "Finish an upload",
        fields=(),
    ),
    Operation("GET", "/v2/assets/{asset_id}/attachments/{attachment_id}", get_attachment, "Get a file's description"),
    Operation(
        "PUT",
        "/upload/{token}",
        upload,
        "Upload a file",
        query=(),
        public=True,
        streams_body=True,
        differs="a link to this host, where the hosted service links to object storage",
    ),
    Operation("GET", "/download/{token}", download, "Download a file", query=(), public=True, differs="as for uploads"),
]
NOT_OFFERED = ("DELETE /v2/assets/{asset_id}/attachments/{attachment_id}",)
