"""Clients that hang up, and more heavy requests than can be met at once."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.http.waiting import HeavyCalls
from tests.support.asgi import Reply, exchange, of
from tests.support.calls import BASE
from tests.support.fake_engine import FakeEngine

Question = Coroutine[Any, Any, Reply]
SECONDS = 20.0


def ask(runtime: Runtime, path: str, hang_up: asyncio.Event | None = None, text: str = "x") -> Question:
    body = {
        "model_id": BASE,
        "input": text,
        "messages": [{"role": "user", "content": text}],
        "project_id": runtime.secrets.project_id,
    }
    return exchange(runtime, "POST", f"/ml/v1/text/{path}", of(json.dumps(body).encode()), hang_up)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def fake(runtime: Runtime) -> FakeEngine:
    assert isinstance(runtime.engine, FakeEngine)
    return runtime.engine


PATHS = ["generation", "chat", "generation_stream", "chat_stream"]


@pytest.mark.parametrize("path", PATHS)
def test_the_engine_drops_what_nobody_waits_for(runtime: Runtime, path: str) -> None:
    async def work() -> None:
        gone = asyncio.Event()
        asked = asyncio.create_task(ask(runtime, path, gone, "hang"))
        await until(lambda: len(fake(runtime).hanging) == 1)
        assert not fake(runtime).hanging[0].cancelled()
        gone.set()
        await asyncio.wait_for(asked, SECONDS)
        await until(fake(runtime).hanging[0].cancelled)

    asyncio.run(work())


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_is_gone_before_the_engine_begins(runtime: Runtime, path: str) -> None:
    async def work() -> None:
        gone = asyncio.Event()
        gone.set()
        await asyncio.wait_for(ask(runtime, path, gone, "hang"), SECONDS)
        await until(lambda: all(future.cancelled() for future in fake(runtime).hanging))

    asyncio.run(work())


@contextmanager
def held(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[list[Any]]:
    """Let calls of one of the engine's functions wait until the block ends; gives those that have begun."""
    begun: list[Any] = []
    go_on = threading.Event()
    function = getattr(runtime.engine, name)

    def wait(*values: Any) -> Any:
        begun.append(values)
        assert go_on.wait(SECONDS)
        return function(*values)

    monkeypatch.setattr(runtime.engine, name, wait)
    try:
        yield begun
    finally:
        go_on.set()


HEAVY = [("tokenization", "count_tokens", "heavy"), ("chat", "chat_prompt", "questions")]


@pytest.mark.parametrize(("path", "function", "kind"), HEAVY)
def test_few_heavy_calls_at_once_and_few_waiting(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, path: str, function: str, kind: str
) -> None:
    setattr(runtime, kind, HeavyCalls(at_once=2, most_waiting=3))

    async def work() -> None:
        with held(runtime, monkeypatch, function) as begun:
            first = [asyncio.create_task(ask(runtime, path)) for _ in range(5)]
            await until(lambda: len(begun) == 2)
            refused = await asyncio.wait_for(ask(runtime, path), SECONDS)
            assert (refused.status, refused.error["code"]) == (429, "too_many_requests")
            assert int(refused.headers["retry-after"]) > 0
            # None of them goes by the queue, so there is nothing to wait for.
            assert (await exchange(runtime, "GET", "/health", of())).status == 200
            assert len(begun) == 2
        assert [reply.status for reply in await asyncio.gather(*first)] == [200] * 5
        assert (await ask(runtime, path)).status == 200

    asyncio.run(work())


def test_who_hangs_up_leaves_the_queue(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.heavy = HeavyCalls(at_once=1, most_waiting=2)

    async def work() -> None:
        with held(runtime, monkeypatch, "count_tokens") as begun:
            kept = asyncio.create_task(ask(runtime, "tokenization", text="kept"))
            await until(lambda: len(begun) == 1)
            for number in range(10):
                gone = asyncio.Event()
                left = asyncio.create_task(ask(runtime, "tokenization", gone, f"left {number}"))
                await until(lambda: runtime.heavy.waiting == 1)
                gone.set()
                assert (await asyncio.wait_for(left, SECONDS)).status == 400
            last = asyncio.create_task(ask(runtime, "tokenization", text="last"))
            await until(lambda: runtime.heavy.waiting == 1)
        assert [(await reply).status for reply in (kept, last)] == [200, 200]
        assert [text for _, text in begun] == ["kept", "last"]

    asyncio.run(work())


def test_questions_do_not_wait_for_long_texts(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        with held(runtime, monkeypatch, "count_tokens") as begun:
            long = [asyncio.create_task(ask(runtime, "tokenization")) for _ in range(60)]
            await until(lambda: len(begun) == 1)
            answer = await asyncio.wait_for(ask(runtime, "generation", text="say hello"), SECONDS)
            assert answer.json()["results"][0]["generated_text"] == "hello"
            listed = f"/ml/v4/trainings?project_id={runtime.secrets.project_id}"
            assert (await asyncio.wait_for(exchange(runtime, "GET", listed, of()), SECONDS)).status == 200
        assert {reply.status for reply in await asyncio.gather(*long)} == {200}

    asyncio.run(work())


@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", "/identity/token")])
def test_what_a_client_begins_with_takes_no_thread(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr("prompt_tuning_helpers.runtime.app.run_in_threadpool", refuse)
    form = f"grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey={runtime.secrets.api_key}"
    body = of(form.encode()) if method == "POST" else of()
    assert asyncio.run(exchange(runtime, method, path, body)).status == 200


def test_tokens_are_made_into_text_only_when_asked_for(
    client: TestClient, runtime: Runtime, project: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[str]:
        raise AssertionError("the tokens themselves were not asked for")

    monkeypatch.setattr(runtime.engine, "tokenize", refuse)
    body = {"model_id": BASE, "input": "a b", **project}
    assert client.post("/ml/v1/text/tokenization", json=body).json()["result"] == {"token_count": 2}
