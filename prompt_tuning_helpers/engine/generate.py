"""Generation: one thread per base model answers all requests, in one batch that they join and leave."""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import torch

from .answer import Answer, Request
from .causal_model import KVCache
from .constrained_decoding import constrain
from .errors import EngineClosed, UnavailableModel, UnusableModel, UnusablePrompt
from .loading import LoadedModel
from .probabilities import describe, name_only
from .rows import common_prefix, encode_inputs, wrap
from .sampling import Sampler
from .settings import Generation, GenerationParameters, Token
from .soft_prompt import load, unusable

MAX_BATCH = 8  # the number of requests that the SDK sends at once
MAX_SOFT_PROMPTS = 32  # whose keys and values are kept
PREFIX_CACHE_TOKENS = 8192  # capacity for earlier prompts, which later ones may begin like
READ_TOGETHER = 1024  # tokens of a prompt: what a step takes in memory and time does not grow with the prompt then
LEAST_SHARED = 16  # leading tokens of prompts, for which it is worth a step of its own to read them once
DESCRIBED_TOGETHER = 256  # tokens of an input; each needs a number for every token of the vocabulary


@dataclass(frozen=True)
class _ComputedSoftPrompt:
    """A soft prompt that the model has read.

    Args:
        cache: its keys and values.
        logits: of the token after it, ``[vocabulary]``.
        verbalizer: the template around each input.
    """

    cache: KVCache
    logits: torch.Tensor
    verbalizer: str


class Generator:
    """Answers prompts on one base model, with or without soft prompts.

    Args:
        loader: loads the model; called in the generator's thread when the first request arrives.
    """

    def __init__(self, loader: Callable[[], LoadedModel]) -> None:
        self._loader = loader
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._loaded: LoadedModel | None = None
        self._prefix_cache: OrderedDict[tuple[Path | None, tuple[int, ...]], KVCache] = OrderedDict()
        self._soft_prompts: OrderedDict[Path, _ComputedSoftPrompt] = OrderedDict()
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
                answer = self._prepare(request, active)
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

    def _prepare(self, request: Request, active: list[Answer]) -> Answer:
        """Encode a request's prompt and find a cache to resume from.

        Args:
            request: the request.
            active: the answers in progress, which may have read what it begins with.

        Raises:
            EngineError: if the soft prompt or the tokens do not fit the model.
        """
        loaded = self._model()
        prompt, virtual_tokens = request.prompt, 0
        if request.soft_prompt:
            soft_prompt = self._computed_soft_prompt(loaded, request.soft_prompt)
            prompt, virtual_tokens = wrap(soft_prompt.verbalizer, prompt), soft_prompt.cache.length
        tokens = encode_inputs([prompt], loaded.tokenizer)[0]
        if request.parameters.truncate_input_tokens:
            tokens = tokens[-request.parameters.truncate_input_tokens :]
        loaded.check_tokens(tokens)
        # A model cannot continue from no token at all; its start or end token stands for "nothing".
        if not tokens:
            start = loaded.tokenizer.bos_token_id
            tokens = [min(loaded.end_tokens, default=0) if start is None else start]
        limit = loaded.max_length
        if len(tokens) + virtual_tokens >= limit:
            soft = f" and the soft prompt {virtual_tokens}" if virtual_tokens else ""
            raise UnusablePrompt(
                f"The input has {len(tokens)} tokens{soft}, but the model attends to at most {limit}, the answer "
                "included. Shorten the input; text generation also keeps just its end, with truncate_input_tokens."
            )
        sampler = self._sampler(loaded, request.parameters, tokens)
        limit_seconds = request.parameters.time_limit
        deadline = time.monotonic() + limit_seconds if limit_seconds else float("inf")
        described: list[Token] = []
        if request.parameters.describe_input:
            cache, described = self._describe_input(loaded, request, tokens)
        else:
            cache = self._longest_cached_prefix(loaded, request.soft_prompt, tokens, active)
        return Answer(
            request=request,
            tokens=tokens,
            cache=cache,
            waiting=tokens[cache.length - virtual_tokens :],
            sampler=sampler,
            virtual_tokens=virtual_tokens,
            deadline=deadline,
            input_tokens=tuple(described),
        )

    @staticmethod
    def _sampler(loaded: LoadedModel, parameters: GenerationParameters, tokens: list[int]) -> Sampler:
        """Make the sampler of an answer.

        Raises:
            EngineError: if the model has no such token as is to be biased, or cannot be guided so.
        """
        vocabulary = loaded.model.embedding.shape[0]
        unknown = next((token for token in parameters.logit_bias if not 0 <= token < vocabulary), None)
        if unknown is not None:
            raise UnusablePrompt(
                f"logit_bias names the token {unknown}, but this model's tokens are 0 to {vocabulary - 1}."
            )
        constraint = constrain(parameters.guide, loaded) if parameters.guide else None
        return Sampler(parameters, loaded.end_tokens, tokens, constraint)

    def _describe_input(self, loaded: LoadedModel, request: Request, tokens: list[int]) -> tuple[KVCache, list[Token]]:
        """Say how likely each token of an input was; return also the cache of all of them but the last."""

        def read(logits: torch.Tensor, named: list[int]) -> list[Token]:
            if not logits.max().isfinite():
                raise _no_numbers(request.soft_prompt)
            return describe(loaded, logits, named, request.parameters.top_tokens)

        if request.soft_prompt:
            before = self._soft_prompts[request.soft_prompt]
            cache, described = before.cache.copy(before.cache.length), read(before.logits[None], tokens[:1])
        else:
            cache, described = loaded.model.new_cache(), [name_only(loaded, tokens[0])]
        device = loaded.model.embedding.device
        for start in range(0, len(tokens) - 1, DESCRIBED_TOGETHER):
            following = tokens[start + 1 : start + 1 + DESCRIBED_TOGETHER]
            inputs = loaded.model.embed(torch.tensor(tokens[start : start + len(following)], device=device))
            described += read(loaded.model.extend([cache], [inputs], keep=len(following)), following)
        return cache, described

    def _computed_soft_prompt(self, loaded: LoadedModel, folder: Path) -> _ComputedSoftPrompt:
        """Let the model read a soft prompt that it has not read yet."""
        if folder not in self._soft_prompts:
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
            cache = loaded.model.new_cache()
            logits = loaded.model.extend([cache], [soft_prompt.embeddings.to(embedding)])
            self._soft_prompts[folder] = _ComputedSoftPrompt(cache, logits[0], soft_prompt.verbalizer)
            if len(self._soft_prompts) > MAX_SOFT_PROMPTS:
                self._soft_prompts.popitem(last=False)
        return self._soft_prompts[folder]

    def _longest_cached_prefix(
        self, loaded: LoadedModel, soft_prompt: Path | None, tokens: list[int], active: list[Answer]
    ) -> KVCache:
        """Return a cache to resume from: of the longest prefix of another prompt, or of the soft prompt alone."""
        virtual = self._soft_prompts[soft_prompt].cache.length if soft_prompt else 0
        # The last token must be read anew: its logits are what is asked for.
        reusable = tuple(tokens[:-1])
        best, best_key = 0, None
        for key in self._prefix_cache:
            if key[0] == soft_prompt and (shared := common_prefix([key[1], reusable])) > best:
                best, best_key = shared, key
        best_cache = None
        if best_key is not None:
            self._prefix_cache.move_to_end(best_key)
            best_cache = self._prefix_cache[best_key]
        if loaded.model.can_reuse:
            for answer in active:
                if answer.request.soft_prompt == soft_prompt:
                    shared = common_prefix([tuple(answer.tokens[: answer.tokens_read]), reusable])
                    if shared > best:
                        best, best_cache = shared, answer.cache
        if best_cache is not None:
            return best_cache.copy(virtual + best)
        if soft_prompt:
            return self._soft_prompts[soft_prompt].cache.copy(virtual)
        return loaded.model.new_cache()

    def _cache_prefix(self, loaded: LoadedModel, answer: Answer) -> None:
        """Keep an answer's keys and values for later prompts; the least recently used make room for them."""
        if not loaded.model.can_reuse or answer.cache.capacity > PREFIX_CACHE_TOKENS:
            return
        key = answer.request.soft_prompt, tuple(answer.tokens)
        self._prefix_cache[key] = answer.cache
        self._prefix_cache.move_to_end(key)
        while sum(cache.capacity for cache in self._prefix_cache.values()) > PREFIX_CACHE_TOKENS:
            self._prefix_cache.popitem(last=False)

    def _step(self, active: list[Answer]) -> None:
        """Give each answer one more token."""
        active[:] = [answer for answer in active if not answer.request.future.cancelled()]
        if not active:
            return
        loaded = self._model()
        if loaded.model.can_reuse:
            _read_shared_tokens(loaded, active)
        read = [answer.waiting[: READ_TOGETHER if loaded.model.can_reuse else None] for answer in active]
        logits = _extend(loaded, [answer.cache for answer in active], read)
        for answer, tokens, scores in zip(list(active), read, logits, strict=True):
            answer.waiting = answer.waiting[len(tokens) :]
            if answer.waiting:  # more of a long prompt; the other answers need not wait for all of it
                continue
            try:
                reason = self._advance(loaded, answer, scores)
            except Exception as error:  # the other answers must not suffer for this one
                active.remove(answer)
                answer.request.fail(error)
                continue
            if reason:
                active.remove(answer)
                self._cache_prefix(loaded, answer)

    def _advance(self, loaded: LoadedModel, answer: Answer, scores: torch.Tensor) -> str | None:
        """Give an answer its next token; return why it is complete, or ``None`` if it is not."""
        if not scores.max().isfinite():
            raise _no_numbers(answer.request.soft_prompt)
        token = answer.sampler.sample(scores)
        answer.generated.append(token)
        if answer.request.parameters.describe_generated:
            answer.described += describe(loaded, scores[None], [token], answer.request.parameters.top_tokens)
        answer.waiting = [token]
        reason = self._read(loaded, answer, token)
        if reason:
            answer.finish(reason)
        else:
            answer.send(final=False)
        return reason

    def _read(self, loaded: LoadedModel, answer: Answer, token: int) -> str | None:
        """Bring an answer's text up to date; return why it is complete, or ``None`` if it is not."""
        parameters = answer.request.parameters
        if token in answer.sampler.end_tokens:
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


def _read_shared_tokens(loaded: LoadedModel, active: list[Answer]) -> None:
    """Let the model read once what new prompts begin with alike, such as the examples of few-shot prompts.

    In a causal model, the keys and values of leading tokens depend on nothing after them, so all of these prompts may
    have copies of the same ones.
    """
    groups: dict[tuple[object, ...], list[Answer]] = {}
    for answer in active:
        begin = tuple(answer.tokens[: answer.tokens_read + LEAST_SHARED])
        if len(answer.waiting) > LEAST_SHARED:
            groups.setdefault((answer.request.soft_prompt, answer.tokens_read, begin), []).append(answer)
    for first, *others in groups.values():
        if not others:
            continue
        # Each prompt keeps a token of its own, whose logits are what is asked for.
        shared = common_prefix([tuple(answer.waiting[:-1]) for answer in (first, *others)])
        for start in range(0, shared, READ_TOGETHER):
            _extend(loaded, [first.cache], [first.waiting[start : min(start + READ_TOGETHER, shared)]])
        for answer in (first, *others):
            answer.waiting = answer.waiting[shared:]
        for answer in others:
            answer.cache = first.cache.copy(first.cache.length)


def _extend(loaded: LoadedModel, caches: list[KVCache], tokens: list[list[int]]) -> torch.Tensor:
    """Let the model read tokens of several sequences; return the logits after the last of each, ``[B, vocabulary]``."""
    device = loaded.model.embedding.device
    inputs = [loaded.model.embed(torch.tensor(own, device=device)) for own in tokens]
    return loaded.model.extend(caches, inputs)


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


def _no_numbers(soft_prompt: Path | None) -> UnusableModel:
    if soft_prompt:
        return unusable(soft_prompt, "with it, the model computes scores that are no numbers")
    return UnusableModel(
        "The base model computes scores that are no numbers for this prompt: its weights are damaged. Save or copy the "
        "model to its folder again, then start the runtime again."
    )
