"""Reads inference requests and waits for the engine's answers, without holding up the event loop."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from ...engine import EngineError, Generation, GenerationParameters, GenerationRequest
from ..catalogue import ServedModel
from ..http.errors import bad_request, from_engine
from ..http.fields import read_flag, read_integer, read_number, read_object, read_text, read_texts, show
from ..http.waiting import while_connected
from ..store.database import now
from .operations import Call

logger = logging.getLogger(__name__)

DECODING_METHODS = ("greedy", "sample")
IGNORED_PARAMETERS = ("length_penalty",)
IGNORED_RETURN_OPTIONS = ("input_tokens", "generated_tokens", "token_logprobs", "token_ranks", "top_n_tokens")
MOST_STOP_SEQUENCES = 6


@dataclass(frozen=True)
class Question:
    """An inference request that was checked.

    Args:
        request: for the engine.
        card: the base model that answers.
        input_text: the prompt, when the answer is to repeat it.
        ignored: what was asked for and is not offered, to be warned of.
    """

    request: GenerationRequest
    card: ServedModel
    input_text: str | None = None
    ignored: tuple[str, ...] = ()


def read_generation_parameters(parameters: Mapping[str, Any], card: ServedModel) -> GenerationParameters:
    """The parameters of ``text/generation``, with the hosted service's defaults."""
    where, longest = "parameters.", card.max_sequence_length
    method = read_text(parameters, "decoding_method", where) or "greedy"
    if method not in DECODING_METHODS:
        raise bad_request(f"{where}decoding_method must be one of {', '.join(DECODING_METHODS)}; it is {show(method)}.")
    most = read_integer(parameters, "max_new_tokens", 1, longest, where)
    least = read_integer(parameters, "min_new_tokens", 0, longest, where) or 0
    most = 20 if most is None else most
    if least > most:
        raise bad_request(f"{where}min_new_tokens, {least}, may not be above max_new_tokens, {most}.")
    stop_sequences = read_texts(parameters, "stop_sequences", where, MOST_STOP_SEQUENCES)
    if "" in stop_sequences:
        raise bad_request(f"{where}stop_sequences may not have an empty one.")
    include = read_flag(parameters, "include_stop_sequence", where)
    milliseconds = read_integer(parameters, "time_limit", 1, 3_600_000, where)
    return GenerationParameters(
        max_new_tokens=most,
        min_new_tokens=least,
        decoding_method=method,
        temperature=_or(read_number(parameters, "temperature", 2, where), 1.0),
        top_k=read_integer(parameters, "top_k", 1, 100, where),
        top_p=_or(read_number(parameters, "top_p", 1, where), 1.0),
        random_seed=read_integer(parameters, "random_seed", 0, 2**31 - 1, where),
        repetition_penalty=_or(read_number(parameters, "repetition_penalty", 2, where, least=1), 1.0),
        stop_sequences=tuple(stop_sequences),
        include_stop_sequence=True if include is None else include,
        truncate_input_tokens=read_integer(parameters, "truncate_input_tokens", 0, 2**31 - 1, where),
        time_limit=None if milliseconds is None else milliseconds / 1000,
    )


def ignored_parts(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request asks for that is not offered here."""
    options = read_object(parameters, "return_options", "parameters.") or {}
    names = [name for name in IGNORED_PARAMETERS if parameters.get(name) is not None]
    names += [f"return_options.{name}" for name in IGNORED_RETURN_OPTIONS if options.get(name)]
    names += ["moderations"] if body.get("moderations") else []
    return tuple(f"{name} is not offered by the local runtime and was ignored." for name in names)


async def answer(call: Call, question: Question) -> Generation:
    """Wait for the engine's answer; the engine drops a question whose client has hung up."""
    # In a thread, because the first request imports torch.
    future = await run_in_threadpool(call.runtime.engine.generate, question.request)
    try:
        return await while_connected(call.request, asyncio.wrap_future(future))
    finally:
        future.cancel()


async def stream(
    call: Call, question: Question, event: Callable[[str, Generation | None], dict[str, Any]]
) -> StreamingResponse:
    """Answer with server-sent events.

    Args:
        event: makes an event's data of a piece of text, or of the rest and the whole answer at the end.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def put(piece: str | None) -> None:
        # The engine's thread outlives the loop by a moment when the server stops.
        if not loop.is_closed():
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    # What is wrong with the request is raised here, before the stream begins, and answered as an error of its own.
    future = await run_in_threadpool(call.runtime.engine.generate, question.request, put)
    future.add_done_callback(lambda _: put(None))

    async def events() -> AsyncIterator[str]:
        number, sent = 0, ""
        try:
            while (piece := await pieces.get()) is not None:
                sent += piece
                number += 1
                yield _event(number, event(piece, None))
            generation = await asyncio.wrap_future(future)
            yield _event(number + 1, event(generation.text.removeprefix(sent), generation))
        except EngineError as error:
            yield _error(from_engine(error).message)
        except Exception:
            logger.exception("A stream failed")
            yield _error("The local runtime met an error of its own; its log says more.")
        finally:
            future.cancel()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def created_at() -> dict[str, str]:
    """When an answer was made."""
    return {"created_at": now()}


def _event(number: int, data: dict[str, Any]) -> str:
    return f"id: {number}\nevent: message\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error(message: str) -> str:
    data = json.dumps({"errors": [{"code": "generation_failed", "message": message}]})
    return f"event: error\ndata: {data}\n\n"


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
