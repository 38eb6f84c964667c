"""Downloads: whole files, parts of them, and ranges that are none."""

import pytest
from starlette.testclient import TestClient

from tests.support.calls import upload

CONTENT = b"0123456789"


@pytest.fixture
def link(client: TestClient, project: dict[str, str]) -> str:
    asset = upload(client, project, CONTENT)
    attachment = client.get(f"/v2/assets/{asset}", params=project).json()["attachments"][0]["id"]
    return str(client.get(f"/v2/assets/{asset}/attachments/{attachment}", params=project).json()["url"])


@pytest.mark.parametrize(
    ("wanted", "content"), [("bytes=2-4", b"234"), ("bytes=-3", b"789"), ("bytes=8-", b"89"), ("bytes=0-99", CONTENT)]
)
def test_one_range(client: TestClient, link: str, wanted: str, content: bytes) -> None:
    answer = client.get(link, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"].endswith("/10")


def test_several_ranges(client: TestClient, link: str) -> None:
    answer = client.get(link, headers={"Range": "bytes=0-1,8-9"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert b"\r\n01\r\n" in answer.content
    assert b"\r\n89\r\n" in answer.content


@pytest.mark.parametrize(("wanted", "status"), [(None, 200), ("bytes=2-4", 206)])
def test_head(client: TestClient, link: str, wanted: str | None, status: int) -> None:
    answer = client.head(link, headers={"Range": wanted} if wanted else {})
    assert (answer.status_code, answer.content) == (status, b"")
    assert answer.headers["content-length"] == ("3" if wanted else "10")


def test_if_range(client: TestClient, link: str) -> None:
    tag = client.get(link).headers["etag"]
    assert client.get(link, headers={"Range": "bytes=2-4", "If-Range": tag}).content == b"234"
    assert client.get(link, headers={"Range": "bytes=2-4", "If-Range": '"another"'}).content == CONTENT
    assert client.get(link, headers={"Range": "bytes=99-", "If-Range": '"another"'}).content == CONTENT


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ("bytes=10-", 416, "range_not_satisfiable"),
        ("bytes=99-100", 416, "range_not_satisfiable"),
        ("bytes=4-2", 400, "invalid_range"),
        ("bytes=x-y", 400, "invalid_range"),
        ("lines=1-2", 400, "invalid_range"),
        ("2-4", 400, "invalid_range"),
    ],
)
def test_ranges_that_are_none(client: TestClient, link: str, method: str, wanted: str, status: int, code: str) -> None:
    answer = client.request(method, link, headers={"Range": wanted})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("content-range") == ("bytes */10" if status == 416 else None)
    if method == "GET":
        assert answer.json()["errors"][0]["code"] == code
