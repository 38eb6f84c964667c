"""One answer in progress: what was asked, what is generated so far, and what of that was sent."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from .causal_model import KVCache
from .sampling import Sampler
from .settings import Generation, GenerationParameters, Token


@dataclass(frozen=True)
class Request:
    """A prompt to answer.

    Args:
        prompt: the text.
        parameters: how to generate.
        soft_prompt: the folder of a soft prompt, or ``None`` for the base model alone.
        on_part: called with each new part of the answer, if given.
        future: the answer to come.
    """

    prompt: str
    parameters: GenerationParameters
    soft_prompt: Path | None
    on_part: Callable[[Generation], None] | None
    future: Future[Generation]

    def fail(self, error: Exception) -> None:
        """Say that there is no answer.

        Args:
            error: why.
        """
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


@dataclass(eq=False)
class Answer:
    """A request in progress.

    Args:
        request: what was asked.
        tokens: the token ids of the prompt.
        cache: the keys and values of what the model has read.
        waiting: the token ids that the model has not read yet.
        sampler: chooses the next token.
        virtual_tokens: those of the soft prompt, which ``cache`` begins with.
        deadline: on the monotonic clock, in seconds.
        input_tokens: how likely those of the prompt are, if that was asked for.
        generated: the token ids of the answer.
        described: how likely these are, if that was asked for.
        text: of the answer.
        unstoppable: characters of it that are too early for a stop sequence to count.
        sent: characters of it that were sent.
        sent_tokens: how many of ``described`` were.
    """

    request: Request
    tokens: list[int]
    cache: KVCache
    waiting: list[int]
    sampler: Sampler
    virtual_tokens: int
    deadline: float
    input_tokens: tuple[Token, ...] = ()
    generated: list[int] = field(default_factory=list)
    described: list[Token] = field(default_factory=list)
    text: str = ""
    unstoppable: int = 0
    sent: int = 0
    sent_tokens: int = 0

    @property
    def tokens_read(self) -> int:
        """The number of tokens of the prompt and the answer that the model has read, those of a soft prompt aside."""
        return self.cache.length - self.virtual_tokens

    def send(self, final: bool) -> None:
        """Send new text, but no half character and nothing that a stop sequence could still remove.

        Args:
            final: whether the text is complete.
        """
        if self.request.on_part is None:
            return
        held_back = 0 if final else max((len(stop) - 1 for stop in self.request.parameters.stop_sequences), default=0)
        ready = self.text[: len(self.text) - held_back]
        if not final:
            ready = ready.rstrip("\ufffd")
        if len(ready) > self.sent:
            part = replace(
                self._generation("not_finished"),
                text=ready[self.sent :],
                tokens=tuple(self.described[self.sent_tokens :]),
                input_tokens=self.input_tokens if self.sent == 0 else (),
            )
            self.request.on_part(part)
            self.sent, self.sent_tokens = len(ready), len(self.described)

    def finish(self, reason: str) -> None:
        """Send the rest and give the whole answer.

        Args:
            reason: why it is complete.
        """
        self.send(final=True)
        # A future counts as running only now, so that it can be cancelled until its answer is there.
        if self.request.future.set_running_or_notify_cancel():
            self.request.future.set_result(self._generation(reason))

    def _generation(self, reason: str) -> Generation:
        return Generation(
            text=self.text,
            input_token_count=len(self.tokens),
            generated_token_count=len(self.generated),
            stop_reason=reason,
            seed=self.sampler.seed if self.request.parameters.decoding_method == "sample" else None,
            tokens=tuple(self.described),
            input_tokens=self.input_tokens,
        )
