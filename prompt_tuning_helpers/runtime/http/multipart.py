"""Reads an uploaded file out of a multipart body, as it arrives."""

from collections.abc import AsyncIterator
from email.message import Message

from .errors import bad_request

LONGEST_HEAD = 10_000
HEAD_END = b"\r\n\r\n"


async def file_content(body: AsyncIterator[bytes], content_type: str) -> AsyncIterator[bytes]:
    """Read the content of a multipart body's first part.

    Args:
        body: in pieces of any size.
        content_type: the request's header, which names the boundary.

    Raises:
        ApiError: 400 for a body that is not multipart or is cut off.
    """
    end = b"\r\n--" + _boundary(content_type)
    held, in_head, is_over = b"", True, False
    async for piece in body:
        if is_over:
            continue  # what comes after the first part is read, so that the connection can be used again
        held += piece
        if in_head:
            head, found, rest = held.partition(HEAD_END)
            if not found and len(head) > LONGEST_HEAD:
                raise bad_request("The multipart body's first part has no end of its headers.")
            if not found:
                continue
            held, in_head = rest, False
        content, found, _ = held.partition(end)
        # Without the end in sight, its beginning may be what was held last.
        cut = len(content) if found else max(0, len(held) - len(end) + 1)
        yield held[:cut]
        held, is_over = held[cut:], bool(found)
    if not is_over:
        raise bad_request("The multipart body ends before its boundary.")


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise bad_request("In Cloud Pak for Data mode a file is uploaded as multipart/form-data with a boundary.")
    return boundary.encode("utf-8", errors="replace")
