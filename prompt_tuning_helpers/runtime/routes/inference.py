"""Reads inference requests and waits for the engine's answers, without holding up the event loop."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from ...engine import EngineError, Generation, GenerationParameters, GenerationRequest
from ..catalogue import ServedModel
from ..engine_errors import from_engine
from ..http.errors import bad_request
from ..http.fields import Fields
from ..http.waiting import while_connected
from ..store.database import now
from .operations import RequestContext

logger = logging.getLogger(__name__)

DECODING_METHODS = ("greedy", "sample")
IGNORED_PARAMETERS = ("length_penalty",)
IGNORED_RETURN_OPTIONS = ("input_tokens", "generated_tokens", "token_logprobs", "token_ranks", "top_n_tokens")
MOST_STOP_SEQUENCES = 6
DEFAULT_NEW_TOKENS = 20
LONGEST_MILLISECONDS = 3_600_000


@dataclass(frozen=True)
class InferenceRequest:
    """An inference request that was checked.

    Args:
        generation: for the engine.
        card: the base model that answers.
        input_text: the prompt, when the answer is to repeat it.
        ignored: what was asked for and is not offered, to be warned of.
    """

    generation: GenerationRequest
    card: ServedModel
    input_text: str | None = None
    ignored: tuple[str, ...] = ()


def read_generation_parameters(parameters: Fields, longest: int) -> GenerationParameters:
    """Read the parameters of ``text/generation``, with the hosted service's defaults.

    Args:
        parameters: the request's.
        longest: tokens that the model can attend to.

    Raises:
        ApiError: 400 for the first that is out of range.
    """
    method = parameters.choice("decoding_method", DECODING_METHODS) or "greedy"
    least, most = _read_lengths(parameters, longest)
    stop_sequences = _read_stop_sequences(parameters)
    include = parameters.flag("include_stop_sequence")
    time_limit = read_time_limit(parameters)
    return GenerationParameters(
        max_new_tokens=most,
        min_new_tokens=least,
        decoding_method=method,
        temperature=value_or(parameters.number("temperature", 2), 1.0),
        top_k=parameters.integer("top_k", 1, 100),
        top_p=value_or(parameters.number("top_p", 1), 1.0),
        random_seed=parameters.integer("random_seed", 0, 2**31 - 1),
        repetition_penalty=value_or(parameters.number("repetition_penalty", 2, least=1), 1.0),
        stop_sequences=stop_sequences,
        include_stop_sequence=include is not False,
        truncate_input_tokens=parameters.integer("truncate_input_tokens", 0, 2**31 - 1),
        time_limit=time_limit,
    )


def _read_lengths(parameters: Fields, longest: int) -> tuple[int, int]:
    """Read how many tokens an answer has at least and at most."""
    most = parameters.integer("max_new_tokens", 1, longest) or DEFAULT_NEW_TOKENS
    least = parameters.integer("min_new_tokens", 0, longest) or 0
    if least > most:
        raise bad_request(f"{parameters.where}min_new_tokens, {least}, may not be above max_new_tokens, {most}.")
    return least, most


def _read_stop_sequences(parameters: Fields) -> tuple[str, ...]:
    stop_sequences = parameters.texts("stop_sequences", MOST_STOP_SEQUENCES)
    if "" in stop_sequences:
        raise bad_request(f"{parameters.where}stop_sequences may not have an empty one.")
    return tuple(stop_sequences)


def read_time_limit(fields: Fields) -> float | None:
    """Read how long an answer may take, in seconds; clients give it in milliseconds."""
    milliseconds = fields.integer("time_limit", 1, LONGEST_MILLISECONDS)
    return None if milliseconds is None else milliseconds / 1000


def value_or(value: float | None, default: float) -> float:
    """Give a value, which may be zero, or the default when there is none."""
    return default if value is None else value


def ignored_parts(body: Fields) -> tuple[str, ...]:
    """Say what a request asks for that is not offered here."""
    parameters = body.object("parameters")
    options = parameters.object("return_options").values
    names = [name for name in IGNORED_PARAMETERS if parameters.values.get(name) is not None]
    names += [f"return_options.{name}" for name in IGNORED_RETURN_OPTIONS if options.get(name)]
    names += ["moderations"] if body.values.get("moderations") else []
    return tuple(warning_of_ignored(name) for name in names)


def warning_of_ignored(name: str) -> str:
    """Say that a part of a request was ignored."""
    return f"{name} is not offered by the local runtime and was ignored."


async def answer(context: RequestContext, request: InferenceRequest) -> Generation:
    """Wait for the engine's answer; the engine drops a request whose client has hung up."""
    # In a thread, because the first request imports torch.
    future = await run_in_threadpool(context.runtime.engine.generate, request.generation)
    try:
        return await while_connected(context.request, asyncio.wrap_future(future))
    finally:
        future.cancel()


async def stream(
    context: RequestContext, request: InferenceRequest, event: Callable[[str, Generation | None], dict[str, Any]]
) -> StreamingResponse:
    """Answer with server-sent events.

    Args:
        context: of the request.
        request: what to answer.
        event: makes an event's data of a piece of text, or of the rest and the whole answer at the end.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def put(piece: str | None) -> None:
        # The engine's thread outlives the loop by a moment when the server stops.
        if not loop.is_closed():
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    # What is wrong with the request is raised here, before the stream begins, and answered as an error of its own.
    future = await run_in_threadpool(context.runtime.engine.generate, request.generation, put)
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
    """Say when an answer was made."""
    return {"created_at": now()}


def _event(number: int, data: dict[str, Any]) -> str:
    return f"id: {number}\nevent: message\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error(message: str) -> str:
    data = json.dumps({"errors": [{"code": "generation_failed", "message": message}]})
    return f"event: error\ndata: {data}\n\n"
