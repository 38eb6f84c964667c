"""What the code computes for each method, in small.

By this, results are told from those of code that computes something else, where a look at the code itself would see
each renamed variable.

The network is a Llama of random weights with the base model's tokenizer, so that prompts and words are read as they
are in the comparison.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from prompt_tuning_helpers.engine.loading import load_tokenizer
from prompt_tuning_helpers.engine.sources import DEFAULT_SOURCE

from .jobs import run
from .methods import Candidate, Method, Recipe
from .plan import Measurement, Opening, Plan

# Relative to the largest number. With one thread or two, with oneDNN or without, and with the instructions of older
# processors, numbers differ by about 0.00001 at most; a learning rate that is 1 % higher changes them by 0.001 or more.
TOLERANCE = 1e-4
DIGITS = 6
# At which a few rows change the small network's answers.
LEARNING_RATE = 0.01
PASSES = 3

Behaviour = dict[str, list[float]]


def behaviour_of(method: Method) -> Behaviour:
    """Compute in small what trials and a measurement of a method of the comparison give.

    Args:
        method: the method.

    Returns:
        The losses of a few candidates, the margins on a few test reviews, and, of the method whose soft prompt is
        opened, how far each virtual token moved.
    """
    with small_network() as model:
        plan = Plan(model=model, rows=(32,), seeds=(0,), held_back=16, test_rows=6, opened_rows=2)
        rows, candidates = plan.rows[-1], _candidates(plan, method)
        cell = method, rows, plan.seeds[0], candidates[-1]
        behaviour: Behaviour = {"margins": run(plan, Measurement(*cell))["margins"]}
        if not method.searched_as:
            behaviour["losses"] = [run(plan, plan.trial(method, rows, 0, tried))["loss"] for tried in candidates]
        if method.name == plan.opened:
            behaviour["moved"] = [token["moved"] for token in run(plan, Opening(*cell))["tokens"]]
    return {name: [float(f"{value:.{DIGITS}g}") for value in values] for name, values in behaviour.items()}


def _candidates(plan: Plan, method: Method) -> list[Candidate]:
    """Give candidates of a method: what its search starts from, in small, and that with each unordered value."""
    searched = plan.searched(method)
    start = searched.start(plan.rows[-1])
    if isinstance(start, Recipe):
        start = replace(start, learning_rate=LEARNING_RATE, epochs=PASSES)
    changed = [
        replace(start, **{axis.name: value}) for axis in searched.axes if not axis.is_ordered for value in axis.values
    ]
    return list(dict.fromkeys([start, *changed]))


def is_same(one: Any, two: Any) -> bool:
    """Tell whether two computations in small gave the same, up to what another processor changes.

    Args:
        one: what ``behaviour_of`` returned for a method; ``None`` if it was not asked.
        two: likewise.
    """
    if one is None or two is None or one.keys() != two.keys():
        return False
    return all(
        len(one[name]) == len(two[name])
        and np.abs(np.subtract(one[name], two[name])).max() <= TOLERANCE * np.abs(one[name]).max()
        for name in one
    )


@contextmanager
def small_network() -> Iterator[str]:
    """Make a Llama of random weights, and give its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(DEFAULT_SOURCE)
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            initializer_range=0.4,  # wide enough that answers differ from prompt to prompt
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        yield folder
