"""Turns a conversation into a prompt by a model's chat template: a program of its maker's, which may do anything."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .errors import EngineError, NoChatTemplate
from .tokenizer_file import FileTokenizer

TEMPLATE_SECONDS = 10.0
_TEMPLATE_FILE = "<template>"  # what Jinja calls the code of a template that comes from no file


def render(model_id: str, tokenizer: Any, messages: list[dict[str, Any]]) -> str:
    """Put messages through a tokenizer's chat template.

    Args:
        model_id: for error messages.
        tokenizer: of transformers.
        messages: objects with ``role`` and ``content``.

    Raises:
        NoChatTemplate: if the model has no chat template, or one that does not end.
        EngineError: if it refuses these messages.
    """
    if not tokenizer.chat_template:
        raise NoChatTemplate(f"{model_id} has no chat template. Use text generation with a plain prompt.")
    if isinstance(tokenizer, FileTokenizer):
        tokenizer.load_transformers()  # before the template's time begins to run
    try:
        with _at_most(TEMPLATE_SECONDS):
            prompt: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TimeoutError as error:
        raise NoChatTemplate(
            f"The chat template of {model_id} was not done with these messages after {TEMPLATE_SECONDS:.0f} seconds. "
            "Use text generation with a plain prompt, or mend chat_template in the model's folder.",
        ) from error
    except Exception as error:  # templates raise what they like
        raise EngineError(f"The chat template of {model_id} refuses these messages: {error}") from error
    # Many templates write the token that begins a text, and the tokenizer will write it again.
    begins_itself = tokenizer.bos_token and tokenizer([""])["input_ids"][0][:1] == [tokenizer.bos_token_id]
    return prompt.removeprefix(tokenizer.bos_token) if begins_itself else prompt


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End a template that runs for too long.

    Only a trace function can interrupt a loop in the same thread.
    """
    deadline = time.monotonic() + seconds

    def watch_line(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > deadline:
            raise TimeoutError
        return watch_line

    def watch_call(frame: FrameType, event: str, argument: Any) -> Any:
        return watch_line if frame.f_code.co_filename == _TEMPLATE_FILE else None

    before = sys.gettrace()
    sys.settrace(watch_call)
    try:
        yield
    finally:
        sys.settrace(before)
