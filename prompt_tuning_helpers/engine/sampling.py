"""Samples the next token from logits, with watsonx.ai's parameters."""

import math
import secrets
from collections import Counter

import torch
from torch import Tensor

from .constrained_decoding import Constraint
from .errors import UnusablePrompt
from .settings import GenerationParameters

SEEDS = 2**32  # watsonx.ai's are below


def check_parameters(parameters: GenerationParameters) -> None:
    """Refuse parameters that are out of watsonx.ai's range.

    Raises:
        UnusablePrompt: naming the first such parameter, its value and the range.
    """
    p = parameters
    checks = [
        ("max_new_tokens", p.max_new_tokens, p.max_new_tokens >= 0, "0 or more"),
        ("min_new_tokens", p.min_new_tokens, 0 <= p.min_new_tokens <= p.max_new_tokens, "from 0 to max_new_tokens"),
        ("decoding_method", p.decoding_method, p.decoding_method in ("greedy", "sample"), "'greedy' or 'sample'"),
        ("temperature", p.temperature, 0 < p.temperature <= 100, "above 0; use decoding_method 'greedy' for none"),
        ("top_k", p.top_k, p.top_k is None or p.top_k >= 1, "1 or more"),
        ("top_p", p.top_p, 0 < p.top_p <= 1, "above 0 and at most 1"),
        ("random_seed", p.random_seed, p.random_seed is None or 0 <= p.random_seed < 2**63, "0 or more"),
        ("repetition_penalty", p.repetition_penalty, 1 <= p.repetition_penalty <= 2, "from 1 to 2"),
        ("stop_sequences", p.stop_sequences, all(p.stop_sequences), "made of non-empty texts"),
        ("decay_factor", p.decay_factor, 1 <= p.decay_factor <= 100, "from 1 to 100"),
        ("presence_penalty", p.presence_penalty, -2 <= p.presence_penalty <= 2, "from -2 to 2"),
        ("frequency_penalty", p.frequency_penalty, -2 <= p.frequency_penalty <= 2, "from -2 to 2"),
        ("logit_bias", p.logit_bias, all(-100 <= bias <= 100 for bias in p.logit_bias.values()), "from -100 to 100"),
        ("top_tokens", p.top_tokens, p.top_tokens >= 0, "0 or more"),
        (
            "truncate_input_tokens",
            p.truncate_input_tokens,
            p.truncate_input_tokens is None or p.truncate_input_tokens >= 0,
            "0 (off) or more",
        ),
        ("time_limit", p.time_limit, p.time_limit is None or p.time_limit > 0, "above 0"),
    ]
    for name, value, good, expected in checks:
        if not good:
            raise UnusablePrompt(f"The parameter {name} is {value!r}; it must be {expected}.")


class Sampler:
    """Samples the tokens of one answer.

    It has a random generator of its own, so that a seed gives the same answer whatever else is being answered.

    Args:
        parameters: how to sample.
        end_tokens: the ids of the model's end-of-text tokens.
        prompt: the input's token ids, which a repetition penalty counts.
        constraint: says which tokens may come next; ``None`` for all.
    """

    def __init__(
        self,
        parameters: GenerationParameters,
        end_tokens: frozenset[int],
        prompt: list[int],
        constraint: Constraint | None = None,
    ) -> None:
        self.parameters = parameters
        self.end_tokens = sorted(end_tokens)
        self.constraint = constraint
        self.seen = set(prompt) if parameters.repetition_penalty != 1.0 else set()
        self.counts: Counter[int] = Counter()
        self.generated = 0
        self.seed = 1 + secrets.randbelow(SEEDS - 1) if parameters.random_seed is None else parameters.random_seed
        self.generator = torch.Generator()
        self.generator.manual_seed(self.seed)

    def sample(self, logits: Tensor) -> int:
        """Return the id of the next token.

        The repetition penalty is that of CTRL (Keskar et al., 2019, https://arxiv.org/abs/1909.05858), for logits of
        either sign. The presence and frequency penalties are OpenAI's: the logit of a token that is ``c`` times in the
        answer so far becomes ``logit - c * frequency_penalty - (c > 0) * presence_penalty``
        (https://platform.openai.com/docs/advanced-usage, "Frequency and presence penalties").

        Args:
            logits: ``[vocabulary]`` in float32.
        """
        p = self.parameters
        logits = logits.cpu()
        if p.repetition_penalty != 1.0 and self.seen:
            seen = torch.tensor(sorted(self.seen))
            values = logits[seen]
            penalised = torch.where(values < 0, values * p.repetition_penalty, values / p.repetition_penalty)
            # Not below the least finite number, so that there is always something to sample.
            logits = logits.index_copy(0, seen, penalised.clamp(min=torch.finfo(logits.dtype).min))
        if self.counts:
            counts = torch.tensor(list(self.counts.values()), dtype=logits.dtype)
            penalties = counts * p.frequency_penalty + p.presence_penalty
            logits = logits.index_add(0, torch.tensor(list(self.counts)), -penalties)
        if p.logit_bias:
            biases = torch.tensor(list(p.logit_bias.values()), dtype=logits.dtype)
            logits = logits.index_add(0, torch.tensor(list(p.logit_bias)), biases)
        over = self.generated - p.decay_start
        if p.decay_factor > 1 and over > 0 and self.end_tokens:
            logits = self._raise_ends(logits, p.decay_factor, over)
        logits = self._keep_allowed(logits)
        token = int(logits.argmax()) if p.decoding_method == "greedy" else self._draw(logits)
        self._note(token)
        return token

    def _raise_ends(self, logits: Tensor, factor: float, over: int) -> Tensor:
        """Make the end likelier, as ``ExponentialDecayLengthPenalty`` of transformers does.

        Args:
            logits: ``[vocabulary]``.
            factor: of the decay.
            over: the number of tokens since it began.
        """
        ends = torch.tensor(self.end_tokens)
        values = logits[ends].double()
        growth = math.exp(min(over * math.log(factor), 700.0)) - 1  # what a double can hold
        raised = (values + values.abs() * growth).clamp(max=torch.finfo(logits.dtype).max)
        return logits.index_copy(0, ends, raised.to(logits.dtype))

    def _keep_allowed(self, logits: Tensor) -> Tensor:
        """Rule out the tokens that may not come now."""
        too_short = self.generated < self.parameters.min_new_tokens
        if self.constraint is None:
            if too_short and self.end_tokens:
                return logits.index_fill(0, torch.tensor(self.end_tokens), -math.inf)
            return logits
        allowed = self.constraint.allowed()
        if too_short:  # but an answer that is complete must be allowed to end
            allowed = [token for token in allowed if token not in self.end_tokens] or allowed
        kept = torch.tensor(allowed)
        return torch.full_like(logits, -math.inf).index_copy(0, kept, logits[kept])

    def _note(self, token: int) -> None:
        """Take note of a token that was sampled."""
        p = self.parameters
        self.generated += 1
        if p.repetition_penalty != 1.0:
            self.seen.add(token)
        if p.presence_penalty or p.frequency_penalty:
            self.counts[token] += 1
        if self.constraint and token not in self.end_tokens:
            self.constraint.read(token)

    def _draw(self, logits: Tensor) -> int:
        """Draw a token: apply the temperature, keep the top k, then of these the top p.

        Top k is by Fan et al. (2018, https://arxiv.org/abs/1805.04833), top p by Holtzman et al. (2020,
        https://arxiv.org/abs/1904.09751).
        """
        p = self.parameters
        # Numbers that are zero in float32 would leave nothing to sample; as its smallest one they mean greedy.
        smallest = torch.finfo(logits.dtype).tiny
        temperature, top_p = max(p.temperature, smallest), max(p.top_p, smallest)
        # Relative to the largest, so that a tiny temperature gives -inf and never inf - inf.
        values, tokens = ((logits - logits.max()) / temperature).sort(descending=True)
        if p.top_k is not None:
            values, tokens = values[: p.top_k], tokens[: p.top_k]
        probabilities = values.softmax(0)
        if top_p < 1:
            before = probabilities.cumsum(0) - probabilities
            probabilities = probabilities * (before < top_p)
        return int(tokens[torch.multinomial(probabilities, 1, generator=self.generator)])
