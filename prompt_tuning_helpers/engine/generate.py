"""Generation: one thread per base model answers all requests, in one batch that they join and leave."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from torch import Tensor

from .answer import Answer, Request
from .errors import EngineClosed
from .loading import LoadedModel
from .new_answer import new_answer
from .prefill import read_waiting, require_numbers
from .prefix_cache import PrefixCache
from .probabilities import describe
from .settings import Generation, GenerationParameters
from .stopping_criteria import update_text

MAX_BATCH = 8  # the number of requests that the SDK sends at once


class Generator:
    """Answers prompts on one base model, with or without soft prompts.

    Args:
        loader: loads the model; called in the generator's thread when the first request arrives.
    """

    def __init__(self, loader: Callable[[], LoadedModel]) -> None:
        self._loader = loader
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._loaded: LoadedModel | None = None
        self._prefixes = PrefixCache()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: str,
        parameters: GenerationParameters,
        soft_prompt: Path | None,
        on_part: Callable[[Generation], None] | None,
    ) -> Future[Generation]:
        """Queue a prompt.

        Args:
            prompt: the text.
            parameters: how to generate.
            soft_prompt: the folder of a soft prompt, or ``None`` for the base model alone.
            on_part: called with each new part of the answer, if given.

        Returns:
            The future answer; it raises an EngineError if there is none.
        """
        request = Request(prompt, parameters, soft_prompt, on_part, Future())
        if self._closed:
            request.fail(EngineClosed())
        else:
            self._requests.put(request)
        return request.future

    def close(self) -> None:
        """Stop the thread; requests that are not answered yet fail."""
        self._closed = True
        self._requests.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        """Answer requests until the generator is closed, then fail those that are left."""
        active: list[Answer] = []
        while not self._closed:
            self._admit(active)
            try:
                if active:
                    self._step(active)
            except Exception as error:  # the thread must outlive any one batch
                for answer in active:
                    answer.request.fail(error)
                active.clear()
        for answer in active:
            answer.request.fail(EngineClosed())
        while not self._requests.empty():
            request = self._requests.get()
            if request:
                request.fail(EngineClosed())

    def _admit(self, active: list[Answer]) -> None:
        """Move waiting requests into the batch; wait for one only if there is nothing else to do."""
        while len(active) < MAX_BATCH:
            try:
                request = self._requests.get(block=not active)
            except queue.Empty:
                return
            if request is None:
                return
            if request.future.cancelled():
                continue
            try:
                answer = new_answer(self._model(), self._prefixes, request, active)
            except Exception as error:  # this request alone is at fault
                request.fail(error)
                continue
            if request.parameters.max_new_tokens == 0:
                answer.finish("max_tokens")
            else:
                active.append(answer)

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            self._loaded = self._loader()
            self._loaded.choose_threads()
        return self._loaded

    def _step(self, active: list[Answer]) -> None:
        """Give each answer one more token, or let the model read more of its prompt."""
        active[:] = [answer for answer in active if not answer.request.future.cancelled()]
        if not active:
            return
        loaded = self._model()
        for answer, logits in read_waiting(loaded, active):
            try:
                reason = _advance(loaded, answer, logits)
            except Exception as error:  # the other answers must not suffer for this one
                active.remove(answer)
                answer.request.fail(error)
                continue
            if reason:
                active.remove(answer)
                self._prefixes.keep(loaded, answer)


def _advance(loaded: LoadedModel, answer: Answer, logits: Tensor) -> str | None:
    """Give an answer its next token; return why it is complete, or ``None`` if it is not."""
    require_numbers(logits, answer.request.soft_prompt)
    token = answer.sampler.sample(logits)
    answer.generated.append(token)
    if answer.request.parameters.describe_generated:
        answer.described += describe(loaded, logits[None], [token], answer.request.parameters.top_tokens)
    answer.waiting = [token]
    reason = update_text(loaded, answer)
    if reason:
        answer.finish(reason)
    else:
        answer.send(final=False)
    return reason
