"""Gives a canned answer as the engine gives its own: at once or in parts, with its tokens counted."""

import re
from collections.abc import Callable
from concurrent.futures import Future

from ...engine import Generation, GenerationRequest
from .answers import Answer

PIECE = re.compile(r"\s*\S+\s*|\s+")


def give(
    answer: Answer,
    request: GenerationRequest,
    count_tokens: Callable[[str, str], int],
    on_part: Callable[[Generation], None] | None,
) -> Future[Generation]:
    """Answer a prompt.

    Args:
        answer: what to answer.
        request: what was asked; its parameters change nothing.
        count_tokens: counts a model's tokens in a text.
        on_part: called with each word of the answer, for streaming.

    Returns:
        A future that is done.
    """
    asked = count_tokens(request.model_id, request.prompt)
    whole = Generation(answer.text, asked, count_tokens(request.model_id, answer.text), answer.stop_reason)
    if on_part is not None:
        so_far = 0
        for piece in PIECE.findall(answer.text):
            so_far += count_tokens(request.model_id, piece)
            # Words that stand alone can have more tokens than together.
            on_part(Generation(piece, asked, min(so_far, whole.generated_token_count), "not_finished"))
    future: Future[Generation] = Future()
    future.set_result(whole)
    return future
