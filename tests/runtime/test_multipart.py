"""Files that arrive in a multipart body, as Cloud Pak for Data's clients send them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.http.multipart import file_content

KIND = "multipart/form-data; boundary=edge"
# What could be taken for the end of the file is in it, too.
PIECES = st.sampled_from([b"\r\n", b"--", b"edge", b"\r\n--edg", b"\r", b"\x00\xff"])


def read(body: bytes, size: int, kind: str = KIND) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def gather() -> bytes:
        return b"".join([piece async for piece in file_content(pieces(), kind)])

    return asyncio.run(gather())


def wrap(content: bytes) -> bytes:
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="rows.json"\r\nContent-Type: file\r\n\r\n'
    return head + content + b"\r\n--edge--\r\n"


@given(parts=st.lists(PIECES | st.binary(max_size=9)), size=st.integers(1, 200))
def test_content_comes_out_as_it_went_in(parts: list[bytes], size: int) -> None:
    content = b"".join(parts)
    assume(b"\r\n--edge" not in content)
    assert read(wrap(content), size) == content


def test_only_the_first_part_counts() -> None:
    assert read(wrap(b"one").removesuffix(b"--\r\n") + b"\r\n\r\n\r\ntwo\r\n--edge--\r\n", 7) == b"one"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (wrap(b"cut off")[:-12], KIND),
        (b"", KIND),
        (b"x" * 20_000, KIND),
        (wrap(b"x"), "multipart/form-data"),
        (wrap(b"x"), "application/json; boundary=edge"),
        (wrap(b"x"), ""),
    ],
)
def test_what_is_not_whole_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(body, 1000, kind)
    assert caught.value.status == 400


def test_upload_and_download_links_are_of_the_dialect(
    client: TestClient, runtime: Runtime, project: dict[str, str]
) -> None:
    token, _ = runtime.tokens.issue("access", 600, dialect="cpd")
    client.headers["Authorization"] = f"Bearer {token}"
    body = {"metadata": {"name": "rows", "asset_type": "data_asset"}}
    asset = client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"]
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "rows"}).json()
    assert made["url1"].startswith("/upload/")
    assert client.put(made["url1"], content=b"not multipart").status_code == 400
    assert client.put(made["url1"], files={"file": ("rows", b"[1]", "file")}).status_code == 201
    path = f"/v2/assets/{asset}/attachments/{made['attachment_id']}"
    assert client.post(f"{path}/complete", params=project).json()["size"] == 3
    link = client.get(path, params=project).json()["url"]
    assert link.startswith("/download/")
    assert client.get(link).content == b"[1]"
