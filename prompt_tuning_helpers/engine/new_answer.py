"""How an answer begins: its prompt is encoded and checked, its sampler made, and a cache found to resume from."""

import time

import torch

from .answer import Answer, Request
from .causal_model import KVCache
from .constrained_decoding import constrain
from .errors import UnusablePrompt
from .loading import LoadedModel
from .prefill import require_numbers
from .prefix_cache import ComputedSoftPrompt, PrefixCache
from .probabilities import describe, name_only
from .rows import encode_inputs, wrap
from .sampling import Sampler
from .settings import GenerationParameters, Token

DESCRIBED_TOGETHER = 256  # tokens of an input; each needs a number for every token of the vocabulary


def new_answer(loaded: LoadedModel, prefixes: PrefixCache, request: Request, active: list[Answer]) -> Answer:
    """Begin to answer a request.

    Args:
        loaded: the model.
        prefixes: what it has read before.
        request: the request.
        active: the answers in progress, which may have read what it begins with.

    Raises:
        EngineError: if the soft prompt, the tokens or the parameters do not fit the model.
    """
    parameters = request.parameters
    soft_prompt = prefixes.soft_prompt(loaded, request.soft_prompt) if request.soft_prompt else None
    virtual_tokens = soft_prompt.cache.length if soft_prompt else 0
    tokens = _encode(loaded, request, soft_prompt)
    limit = loaded.max_length
    if len(tokens) + virtual_tokens >= limit:
        soft = f" and the soft prompt {virtual_tokens}" if virtual_tokens else ""
        raise UnusablePrompt(
            f"The input has {len(tokens)} tokens{soft}, but the model attends to at most {limit}, the answer "
            "included. Shorten the input; text generation also keeps just its end, with truncate_input_tokens."
        )
    sampler = _sampler(loaded, parameters, tokens)
    deadline = time.monotonic() + parameters.time_limit if parameters.time_limit else float("inf")
    described: list[Token] = []
    if parameters.describe_input:
        cache, described = _describe_input(loaded, request, soft_prompt, tokens)
    else:
        cache = prefixes.longest_prefix(loaded, request.soft_prompt, tokens, active)
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


def _encode(loaded: LoadedModel, request: Request, soft_prompt: ComputedSoftPrompt | None) -> list[int]:
    """Turn a prompt into token ids, at least one."""
    prompt = wrap(soft_prompt.verbalizer, request.prompt) if soft_prompt else request.prompt
    tokens = encode_inputs([prompt], loaded.tokenizer)[0]
    if request.parameters.truncate_input_tokens:
        tokens = tokens[-request.parameters.truncate_input_tokens :]
    loaded.check_tokens(tokens)
    if tokens:
        return tokens
    # A model cannot continue from no token at all; its start or end token stands for "nothing".
    start = loaded.tokenizer.bos_token_id
    return [min(loaded.end_tokens, default=0) if start is None else start]


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


def _describe_input(
    loaded: LoadedModel, request: Request, soft_prompt: ComputedSoftPrompt | None, tokens: list[int]
) -> tuple[KVCache, list[Token]]:
    """Say how likely each token of an input was; return also the cache of all of them but the last."""

    def read(logits: torch.Tensor, named: list[int]) -> list[Token]:
        require_numbers(logits, request.soft_prompt)
        return describe(loaded, logits, named, request.parameters.top_tokens)

    if soft_prompt:
        cache, described = soft_prompt.cache.copy(soft_prompt.cache.length), read(soft_prompt.logits[None], tokens[:1])
    else:
        cache, described = loaded.model.new_cache(), [name_only(loaded, tokens[0])]
    device = loaded.model.embedding.device
    for start in range(0, len(tokens) - 1, DESCRIBED_TOGETHER):
        following = tokens[start + 1 : start + 1 + DESCRIBED_TOGETHER]
        inputs = loaded.model.embed(torch.tensor(tokens[start : start + len(following)], device=device))
        described += read(loaded.model.extend([cache], [inputs], keep=len(following)), following)
    return cache, described
