"""Reads inference requests and waits for the engine's answers, without holding up the event loop."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from ...engine import EngineError, Generation, GenerationRequest
from ..catalogue import ServedModel
from ..controls.generation import give
from ..engine_errors import from_engine
from ..http.waiting import while_connected
from .operations import RequestContext

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What an answer says of each token that it lists.

    Args:
        logprobs: how likely it was.
        ranks: how many tokens were likelier.
        top: whether the likeliest are named beside it.
    """

    logprobs: bool = False
    ranks: bool = False
    top: bool = False


@dataclass(frozen=True)
class InferenceRequest:
    """An inference request that was checked.

    Args:
        generation: for the engine.
        card: the base model that answers.
        asked: what was asked: the prompt, or what a conversation's last message says.
        input_text: the prompt, when the answer is to repeat it.
        shown: what is said of each token.
        warnings: what was asked for and is ignored.
    """

    generation: GenerationRequest
    card: ServedModel
    asked: str
    input_text: str | None = None
    shown: Shown = Shown()
    warnings: tuple[str, ...] = ()


async def answer(context: RequestContext, request: InferenceRequest) -> Generation:
    """Wait for the engine's answer; the engine drops a request whose client has hung up."""
    # In a thread, because the first request imports torch.
    future = await run_in_threadpool(_ask, context, request)
    try:
        return await while_connected(context.request, asyncio.wrap_future(future))
    finally:
        future.cancel()


async def stream(
    context: RequestContext, request: InferenceRequest, event: Callable[[Generation, bool], dict[str, Any]]
) -> StreamingResponse:
    """Answer with server-sent events.

    Args:
        context: of the request.
        request: what to answer.
        event: makes an event's data of a part of the answer, and of whether it is the first. The last part is what is
            left of the answer, with the reason why it ended there.
    """
    loop = asyncio.get_running_loop()
    parts: asyncio.Queue[Generation | None] = asyncio.Queue()

    def put(part: Generation | None) -> None:
        # The engine's thread outlives the loop by a moment when the server stops.
        if not loop.is_closed():
            loop.call_soon_threadsafe(parts.put_nowait, part)

    # What is wrong with the request is raised here, before the stream begins, and answered as an error of its own.
    future = await run_in_threadpool(_ask, context, request, put)
    future.add_done_callback(lambda _: put(None))

    async def events() -> AsyncIterator[str]:
        sent: list[Generation] = []
        try:
            while (part := await parts.get()) is not None:
                sent.append(part)
                yield _event(len(sent), event(part, len(sent) == 1))
            rest = _rest(await asyncio.wrap_future(future), sent)
            yield _event(len(sent) + 1, event(rest, not sent))
        except EngineError as error:
            yield _error(from_engine(error).message)
        except Exception:
            logger.exception("A stream failed")
            yield _error("The local runtime met an error of its own; its log says more.")
        finally:
            future.cancel()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _ask(
    context: RequestContext, request: InferenceRequest, on_part: Callable[[Generation], None] | None = None
) -> Future[Generation]:
    """Let the engine answer, unless a test has set an answer."""
    canned = context.exchange.answer(request.asked) if context.exchange else None
    if canned is None:
        return context.runtime.engine.generate(request.generation, on_part)
    return give(canned, request.generation, context.runtime.engine.count_tokens, on_part)


def _rest(whole: Generation, sent: list[Generation]) -> Generation:
    """Give what is left of an answer when parts of it were sent."""
    return replace(
        whole,
        text=whole.text.removeprefix("".join(part.text for part in sent)),
        tokens=whole.tokens[sum(len(part.tokens) for part in sent) :],
        input_tokens=() if sent else whole.input_tokens,
    )


def created_at(context: RequestContext) -> dict[str, str]:
    """Say when an answer was made."""
    return {"created_at": context.runtime.clock.now()}


def _event(number: int, data: dict[str, Any]) -> str:
    # In ASCII: the SDK's client takes whatever Unicode calls a line break, U+2028 in an answer say, for an event's end.
    return f"id: {number}\nevent: message\ndata: {json.dumps(data)}\n\n"


def _error(message: str) -> str:
    data = json.dumps({"errors": [{"code": "generation_failed", "message": message}]})
    return f"event: error\ndata: {data}\n\n"
