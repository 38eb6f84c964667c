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

from .jobs import asked_rows, classifier_of, run
from .methods import GradientMethod, Method
from .opened import open_up
from .plan import Measurement, Plan, Search

# Relative to the largest number. With one thread or two, with oneDNN or without, and with the instructions of older
# processors, numbers differ by about 0.00001 at most; a learning rate that is 1 % higher changes them by 0.001 or more.
TOLERANCE = 1e-4
DIGITS = 6
LEARNING_RATE = 0.01

Behaviour = dict[str, list[float]]


def behaviour_of(methods: tuple[Method, ...]) -> dict[str, Behaviour]:
    """Compute in small what a search and a measurement of each method give.

    Args:
        methods: of the comparison.

    Returns:
        By name of a method, the losses of its candidates, its margins on a few test reviews, and, of the method whose
        soft prompt is opened, how far each virtual token moved.
    """
    with _small_network() as model:
        small = tuple(map(_in_small, methods))
        plan = Plan(model=model, methods=small, rows=(16,), seeds=(0,), search_rows=16, test_rows=6)
        return {method.name: _behaviour(plan, method) for method in small}


def _in_small(method: Method) -> Method:
    """Give a method a learning rate and a number of passes at which a few rows change the small network's answers."""
    if isinstance(method, GradientMethod):
        return replace(method, candidates=(LEARNING_RATE,), epochs=((16, 3),))
    return method


def _behaviour(plan: Plan, method: Method) -> Behaviour:
    behaviour: Behaviour = {}
    if not method.searched_as:
        behaviour["losses"] = [score["loss"] for score in run(plan, Search(method, 0))["scores"]]
    job = Measurement(method, plan.rows[-1], 0, method.candidates[0])
    classifier = classifier_of(plan, job)
    prompts, truth = asked_rows(plan)
    behaviour["margins"] = classifier.margins(prompts)
    if plan.opens(job):
        behaviour["moved"] = [token["moved"] for token in open_up(classifier, prompts, truth)["tokens"]]
    return {name: [float(f"{value:.{DIGITS}g}") for value in values] for name, values in behaviour.items()}


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
def _small_network() -> Iterator[str]:
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
