"""What the model has read and need not read again: soft prompts, and what later prompts may begin with."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .answer import Answer
from .causal_model import KVCache
from .errors import UnavailableModel
from .loading import LoadedModel
from .rows import common_prefix
from .soft_prompt import load, unusable

MAX_SOFT_PROMPTS = 32  # whose keys and values are kept
PREFIX_CACHE_TOKENS = 8192  # capacity for earlier prompts, which later ones may begin like


@dataclass(frozen=True)
class ComputedSoftPrompt:
    """A soft prompt that the model has read.

    Args:
        cache: its keys and values.
        logits: of the token after it, ``[vocabulary]``.
        verbalizer: the template around each input.
    """

    cache: KVCache
    logits: Tensor
    verbalizer: str


class PrefixCache:
    """The keys and values of soft prompts, and of prompts with their answers, on one base model."""

    def __init__(self) -> None:
        self._soft_prompts: OrderedDict[Path, ComputedSoftPrompt] = OrderedDict()
        self._prompts: OrderedDict[tuple[Path | None, tuple[int, ...]], KVCache] = OrderedDict()

    def soft_prompt(self, loaded: LoadedModel, folder: Path) -> ComputedSoftPrompt:
        """Let the model read a soft prompt, unless it has.

        Args:
            loaded: the model.
            folder: of the soft prompt.

        Raises:
            EngineError: if the soft prompt does not fit the model, or its files are damaged.
        """
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
            self._soft_prompts[folder] = ComputedSoftPrompt(cache, logits[0], soft_prompt.verbalizer)
            if len(self._soft_prompts) > MAX_SOFT_PROMPTS:
                self._soft_prompts.popitem(last=False)
        self._soft_prompts.move_to_end(folder)
        return self._soft_prompts[folder]

    def longest_prefix(
        self, loaded: LoadedModel, folder: Path | None, tokens: list[int], active: list[Answer]
    ) -> KVCache:
        """Give a cache to resume from: of the longest prefix of another prompt, or of the soft prompt alone.

        Args:
            loaded: the model.
            folder: of the soft prompt before the prompt, if there is one.
            tokens: the token ids of the prompt.
            active: the answers in progress, which may have read what it begins with.
        """
        soft_prompt = self.soft_prompt(loaded, folder) if folder else None
        virtual = soft_prompt.cache.length if soft_prompt else 0
        # The last token must be read anew: its logits are what is asked for.
        reusable = tuple(tokens[:-1])
        best, best_key = 0, None
        for key in self._prompts:
            if key[0] == folder and (shared := common_prefix([key[1], reusable])) > best:
                best, best_key = shared, key
        best_cache = None
        if best_key is not None:
            self._prompts.move_to_end(best_key)
            best_cache = self._prompts[best_key]
        if loaded.model.can_reuse:
            for answer in active:
                if answer.request.soft_prompt == folder:
                    shared = common_prefix([tuple(answer.tokens[: answer.tokens_read]), reusable])
                    if shared > best:
                        best, best_cache = shared, answer.cache
        if best_cache is not None:
            return best_cache.copy(virtual + best)
        return soft_prompt.cache.copy(virtual) if soft_prompt else loaded.model.new_cache()

    def keep(self, loaded: LoadedModel, answer: Answer) -> None:
        """Keep an answer's keys and values for later prompts; the least recently used make room for them.

        Args:
            loaded: the model.
            answer: which is complete.
        """
        if not loaded.model.can_reuse or answer.cache.capacity > PREFIX_CACHE_TOKENS:
            return
        key = answer.request.soft_prompt, tuple(answer.tokens)
        self._prompts[key] = answer.cache
        self._prompts.move_to_end(key)
        while sum(cache.capacity for cache in self._prompts.values()) > PREFIX_CACHE_TOKENS:
            self._prompts.popitem(last=False)
