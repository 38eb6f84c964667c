"""When an answer is complete: at an end token, at a stop sequence, or at a limit."""

import time

from .answer import Answer
from .loading import LoadedModel


def update_text(loaded: LoadedModel, answer: Answer) -> str | None:
    """Bring an answer's text up to its last token, and cut it at a stop sequence.

    Args:
        loaded: the model and its tokenizer.
        answer: which has at least one token.

    Returns:
        Why the answer is complete, or ``None`` if it is not.
    """
    parameters = answer.request.parameters
    if answer.generated[-1] in answer.sampler.end_tokens:
        return "eos_token"
    answer.text = loaded.tokenizer.decode(answer.generated, skip_special_tokens=True)
    if len(answer.generated) < parameters.min_new_tokens:
        answer.unstoppable = len(answer.text.rstrip("\ufffd"))
    elif _cut(answer):
        return "stop_sequence"
    if answer.sampler.constraint and answer.sampler.constraint.is_complete:
        return "eos_token"  # nothing else could come
    if len(answer.generated) >= parameters.max_new_tokens:
        return "max_tokens"
    if answer.cache.length + 1 >= loaded.max_length:
        return "token_limit"
    if time.monotonic() > answer.deadline:
        return "time_limit"
    return None


def _cut(answer: Answer) -> bool:
    """Cut an answer's text at the first stop sequence that ends late enough; tell whether there is one."""
    parameters = answer.request.parameters
    places = [
        (answer.text.find(stop, max(0, answer.unstoppable - len(stop) + 1)), stop) for stop in parameters.stop_sequences
    ]
    found = [(start, stop) for start, stop in places if start >= 0]
    if not found:
        return False
    start, stop = min(found)
    answer.text = answer.text[: start + len(stop) if parameters.include_stop_sequence else start]
    return True
