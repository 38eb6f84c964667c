"""Sampling: for every number that is accepted, of every size, the token is one of the vocabulary."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.engine import EngineError, GenerationParameters
from prompt_tuning_helpers.engine.sampling import Sampler, check_parameters

SMALLEST = math.ulp(0.0)
VOCABULARY = 12
SAMPLED = GenerationParameters(decoding_method="sample", random_seed=1)

# As models give them, and at the ends of what float32 can be.
logit = st.floats(-50, 50, width=32) | st.floats(width=32, allow_nan=False, allow_infinity=False)
logits = st.lists(logit, min_size=VOCABULARY, max_size=VOCABULARY)
parameters = st.builds(
    GenerationParameters,
    min_new_tokens=st.integers(0, 2),
    decoding_method=st.sampled_from(["greedy", "sample"]),
    temperature=st.floats(0, 100, exclude_min=True),
    top_k=st.none() | st.integers(1, 100),
    top_p=st.floats(0, 1, exclude_min=True),
    random_seed=st.none() | st.integers(0, 2**63 - 1),
    repetition_penalty=st.floats(1, 2),
    decay_factor=st.floats(1, 100),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    logit_bias=st.dictionaries(st.integers(0, VOCABULARY - 1), st.floats(-100, 100), max_size=3),
)


def sample(given: GenerationParameters, values: list[float], count: int = 1) -> list[int]:
    check_parameters(given)
    sampler = Sampler(given, frozenset({2}), [0, 1, 5])
    return [sampler.sample(torch.tensor(values)) for _ in range(count)]


@settings(max_examples=500, deadline=None)
@given(given=parameters, values=logits)
@example(replace(SAMPLED, temperature=1e-46), [0.0] * VOCABULARY)
@example(replace(SAMPLED, top_p=1e-46), [0.0] * VOCABULARY)
@example(replace(SAMPLED, temperature=SMALLEST, top_p=SMALLEST), [3.4e38, -3.4e38] * 6)
@example(replace(SAMPLED, repetition_penalty=2.0), [-3.4e38] * VOCABULARY)
def test_a_token_is_sampled_for_all_accepted_numbers(given: GenerationParameters, values: list[float]) -> None:
    sampled = sample(given, values, 3)
    assert set(sampled) <= set(range(VOCABULARY))
    assert 2 not in sampled[: given.min_new_tokens]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(-50, 50), min_size=VOCABULARY, max_size=VOCABULARY, unique=True),
    narrow=st.floats(0, 1e-6, exclude_min=True),
    name=st.sampled_from(["temperature", "top_p"]),
)
def test_sampling_is_greedy_in_the_limit(values: list[int], narrow: float, name: str) -> None:
    given = replace(SAMPLED, temperature=narrow) if name == "temperature" else replace(SAMPLED, top_p=narrow)
    assert sample(given, [float(value) for value in values]) == [values.index(max(values))]


@pytest.mark.parametrize("penalty", [SMALLEST, 0.99, 2.01, 1e300, math.inf, math.nan])
def test_repetition_penalties_have_the_bounds_of_watsonx_ai(penalty: float) -> None:
    with pytest.raises(EngineError, match="repetition_penalty"):
        check_parameters(GenerationParameters(repetition_penalty=penalty))


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(-8, 8), min_size=VOCABULARY, max_size=VOCABULARY),
    presence=st.integers(-8, 8),
    frequency=st.integers(-8, 8),
    bias=st.dictionaries(st.integers(0, VOCABULARY - 1), st.integers(-100, 100), max_size=3),
)
def test_penalties_and_biases_follow_their_formula(
    values: list[int], presence: int, frequency: int, bias: dict[int, int]
) -> None:
    """OpenAI's formula, computed again; quarters are exact in float32, so that ties are ties."""
    given = GenerationParameters(
        presence_penalty=presence / 4,
        frequency_penalty=frequency / 4,
        logit_bias={token: float(value) for token, value in bias.items()},
    )
    chosen: list[int] = []
    for _ in range(6):
        counts = [chosen.count(token) for token in range(VOCABULARY)]
        scores = [
            value - count * frequency / 4 - (count > 0) * presence / 4 + bias.get(token, 0)
            for token, (value, count) in enumerate(zip(values, counts, strict=True))
        ]
        chosen.append(scores.index(max(scores)))
    assert sample(given, [float(value) for value in values], 6) == chosen


def test_the_length_penalty_is_that_of_transformers() -> None:
    from transformers import ExponentialDecayLengthPenalty

    theirs = ExponentialDecayLengthPenalty((2, 1.5), 2, 0)
    values = torch.linspace(-3, 4, VOCABULARY)
    for end_score in (-2.0, 0.5):
        values[2] = end_score
        ours = Sampler(GenerationParameters(decay_factor=1.5, decay_start=2), frozenset({2}), [])
        for generated in range(8):
            expected = theirs(torch.zeros(1, generated, dtype=torch.long), values[None].clone())[0]
            raised = ours._raise_ends(values, 1.5, generated - 2) if generated > 2 else values
            torch.testing.assert_close(raised, expected)


def test_penalties_count_the_answer_and_not_the_prompt() -> None:
    values = [0.0] * VOCABULARY
    values[5] = 1.0  # a token of the prompt
    assert sample(GenerationParameters(presence_penalty=2.0), values) == [5]
    assert sample(GenerationParameters(presence_penalty=2.0), values, 2)[1] != 5
