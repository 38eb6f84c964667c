"""Generation: one thread per base model answers whatever is waiting, in one batch that requests join and leave."""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .causal_model import Past
from .errors import EngineClosed, UnavailableModel, UnusableModel, UnusablePrompt
from .loading import LoadedModel
from .rows import encode_inputs, wrap
from .sampling import TokenChooser
from .settings import Generation, GenerationParameters
from .soft_prompt import load, unusable

MAX_BATCH = 8  # as many requests as the SDK sends at once
MAX_PREFIXES = 32  # deployments whose computed soft prompt is kept
REMEMBERED_TOKENS = 8192  # how much of earlier prompts is kept for those that begin alike


@dataclass
class _Request:
    prompt: str
    parameters: GenerationParameters
    soft_prompt: Path | None
    on_text: Callable[[str], None] | None
    future: Future[Generation]


@dataclass
class _Answer:
    """A request on its way through the batch."""

    request: _Request
    tokens: list[int]  # of the prompt
    past: Past
    waiting: list[int]  # tokens that the model has not read yet
    chooser: TokenChooser
    virtual_tokens: int
    deadline: float
    generated: list[int] = field(default_factory=list)
    text: str = ""
    sent: int = 0


class Generator:
    """Answers prompts on one base model, with or without soft prompts.

    Args:
        loader: gives the model; called in the generator's thread when the first request arrives.
    """

    def __init__(self, loader: Callable[[], LoadedModel]) -> None:
        self._loader = loader
        self._requests: queue.Queue[_Request | None] = queue.Queue()
        self._loaded: LoadedModel | None = None
        self._remembered: OrderedDict[tuple[Path | None, tuple[int, ...]], Past] = OrderedDict()
        self._prefixes: OrderedDict[Path, tuple[Past, str]] = OrderedDict()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: str,
        parameters: GenerationParameters,
        soft_prompt: Path | None,
        on_text: Callable[[str], None] | None,
    ) -> Future[Generation]:
        """Queue a prompt; the future has its answer, or the EngineError that kept it from one."""
        future: Future[Generation] = Future()
        if self._closed:
            _fail(future, EngineClosed())
        else:
            self._requests.put(_Request(prompt, parameters, soft_prompt, on_text, future))
        return future

    def close(self) -> None:
        """Stop the thread; requests that are not answered yet fail."""
        self._closed = True
        self._requests.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        active: list[_Answer] = []
        while not self._closed:
            self._admit(active)
            try:
                if active:
                    self._step(active)
            except Exception as error:  # the thread must outlive any one batch
                for answer in active:
                    _fail(answer.request.future, error)
                active.clear()
        for answer in active:
            _fail(answer.request.future, EngineClosed())
        while not self._requests.empty():
            request = self._requests.get()
            if request:
                _fail(request.future, EngineClosed())

    def _admit(self, active: list[_Answer]) -> None:
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
                answer = self._prepare(request)
            except Exception as error:  # this request alone is at fault
                _fail(request.future, error)
                continue
            if request.parameters.max_new_tokens == 0:
                _finish(answer, "max_tokens")
            else:
                active.append(answer)

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            self._loaded = self._loader()
            self._loaded.choose_threads()
        return self._loaded

    def _prepare(self, request: _Request) -> _Answer:
        loaded = self._model()
        prompt, virtual_tokens = request.prompt, 0
        if request.soft_prompt:
            prefix, verbalizer = self._prefix(loaded, request.soft_prompt)
            prompt, virtual_tokens = wrap(verbalizer, prompt), prefix.length
        tokens = encode_inputs([prompt], loaded.tokenizer)[0]
        if request.parameters.truncate_input_tokens:
            tokens = tokens[-request.parameters.truncate_input_tokens :]
        loaded.check_tokens(tokens)
        # A model that saw no token at all has nothing to go on from; its start or end token stands for "nothing".
        if not tokens:
            start = loaded.tokenizer.bos_token_id
            tokens = [min(loaded.end_tokens, default=0) if start is None else start]
        limit = loaded.max_length
        if len(tokens) + virtual_tokens >= limit:
            soft = f" and the soft prompt {virtual_tokens}" if virtual_tokens else ""
            raise UnusablePrompt(
                f"The input has {len(tokens)} tokens{soft}, but the model attends to at most {limit}, the answer "
                "included. Shorten the input, or set truncate_input_tokens to keep its end."
            )
        past = self._recall(loaded, request.soft_prompt, tokens)
        limit_seconds = request.parameters.time_limit
        return _Answer(
            request=request,
            tokens=tokens,
            past=past,
            waiting=tokens[past.length - virtual_tokens :],
            chooser=TokenChooser(request.parameters, loaded.end_tokens, tokens),
            virtual_tokens=virtual_tokens,
            deadline=time.monotonic() + limit_seconds if limit_seconds else float("inf"),
        )

    def _prefix(self, loaded: LoadedModel, folder: Path) -> tuple[Past, str]:
        """The computed soft prompt of a deployment, and its verbalizer."""
        if folder not in self._prefixes:
            soft_prompt = load(folder)
            embedding = loaded.model.embedding
            if soft_prompt.embeddings.shape[1] != embedding.shape[1]:
                raise UnavailableModel(
                    f"The soft prompt was tuned for a model of hidden size {soft_prompt.embeddings.shape[1]}, but this "
                    f"one has {embedding.shape[1]}. Serve the base model that it was tuned on.",
                )
            length = soft_prompt.embeddings.shape[0]
            if length >= loaded.max_length:
                raise unusable(folder, f"it has {length} tokens, and the model attends to {loaded.max_length} in all")
            past = loaded.model.new_past()
            loaded.model.extend([past], [soft_prompt.embeddings.to(embedding)])
            self._prefixes[folder] = past, soft_prompt.verbalizer
            if len(self._prefixes) > MAX_PREFIXES:
                self._prefixes.popitem(last=False)
        return self._prefixes[folder]

    def _recall(self, loaded: LoadedModel, soft_prompt: Path | None, tokens: list[int]) -> Past:
        """A past to go on from: the longest beginning that an earlier prompt shares, or the soft prompt alone."""
        virtual = self._prefixes[soft_prompt][0].length if soft_prompt else 0
        best_key, best = None, 0
        for key in self._remembered:
            if key[0] == soft_prompt:
                # The last token must be read anew: its logits are what is asked for.
                shared = min(_shared(key[1], tokens), len(tokens) - 1)
                if shared > best:
                    best_key, best = key, shared
        if best_key is not None:
            self._remembered.move_to_end(best_key)
            return self._remembered[best_key].copy(virtual + best)
        if soft_prompt:
            return self._prefixes[soft_prompt][0].copy(virtual)
        return loaded.model.new_past()

    def _remember(self, loaded: LoadedModel, answer: _Answer) -> None:
        if not loaded.model.can_reuse or answer.past.room > REMEMBERED_TOKENS:
            return
        key = answer.request.soft_prompt, tuple(answer.tokens)
        self._remembered[key] = answer.past
        self._remembered.move_to_end(key)
        while sum(past.room for past in self._remembered.values()) > REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)

    def _step(self, active: list[_Answer]) -> None:
        """Give each answer one more token."""
        active[:] = [answer for answer in active if not answer.request.future.cancelled()]
        if not active:
            return
        loaded = self._model()
        device = loaded.model.embedding.device
        inputs = [loaded.model.embed(torch.tensor(answer.waiting, device=device)) for answer in active]
        logits = loaded.model.extend([answer.past for answer in active], inputs)
        for answer, scores in zip(list(active), logits, strict=True):
            try:
                reason = self._advance(loaded, answer, scores)
            except Exception as error:  # the other answers must not suffer for this one
                active.remove(answer)
                _fail(answer.request.future, error)
                continue
            if reason:
                active.remove(answer)
                self._remember(loaded, answer)

    def _advance(self, loaded: LoadedModel, answer: _Answer, scores: torch.Tensor) -> str | None:
        """Give one answer its next token; why it is complete, or ``None`` if it is not."""
        if not scores.max().isfinite():
            raise _no_numbers(answer.request.soft_prompt)
        token = answer.chooser.choose(scores)
        answer.generated.append(token)
        answer.waiting = [token]
        reason = self._read(loaded, answer, token)
        if reason:
            _finish(answer, reason)
        elif answer.request.on_text:
            _send(answer, final=False)
        return reason

    def _read(self, loaded: LoadedModel, answer: _Answer, token: int) -> str | None:
        """Bring the text up to date; why the answer is complete, or ``None`` if it is not."""
        parameters = answer.request.parameters
        if token in answer.chooser.end_tokens:
            return "eos_token"
        answer.text = loaded.tokenizer.decode(answer.generated, skip_special_tokens=True)
        found = [(answer.text.find(stop), stop) for stop in parameters.stop_sequences if stop in answer.text]
        if found:
            start, stop = min(found)
            answer.text = answer.text[: start + len(stop) if parameters.include_stop_sequence else start]
            return "stop_sequence"
        if len(answer.generated) >= parameters.max_new_tokens:
            return "max_tokens"
        if answer.past.length + 1 >= loaded.max_length:
            return "token_limit"
        if time.monotonic() > answer.deadline:
            return "time_limit"
        return None


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count


def _send(answer: _Answer, final: bool) -> None:
    """Pass on new text, but no half character and nothing that a stop sequence could still take back."""
    held_back = 0 if final else max((len(stop) - 1 for stop in answer.request.parameters.stop_sequences), default=0)
    ready = answer.text[: len(answer.text) - held_back]
    if not final:
        ready = ready.rstrip("\ufffd")
    if answer.request.on_text and len(ready) > answer.sent:
        answer.request.on_text(ready[answer.sent :])
        answer.sent = len(ready)


def _no_numbers(soft_prompt: Path | None) -> UnusableModel:
    if soft_prompt:
        return unusable(soft_prompt, "with it, the model computes scores that are no numbers")
    return UnusableModel(
        "The base model computes scores that are no numbers for this prompt: its weights are damaged. Save or copy the "
        "model to its folder again, then start the runtime again."
    )


def _finish(answer: _Answer, reason: str) -> None:
    if answer.request.on_text:
        _send(answer, final=True)
    # A future counts as running only now, so that it can be cancelled until its answer is there.
    if answer.request.future.set_running_or_notify_cancel():
        result = Generation(answer.text, len(answer.tokens), len(answer.generated), reason)
        answer.request.future.set_result(result)


def _fail(future: Future[Any], error: Exception) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
