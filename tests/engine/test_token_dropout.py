"""Leaving tokens out of an input: which stay, how many, and that a seed decides."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_rows
from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.token_dropout import SHARE, thinned


@given(tokens=st.lists(st.integers(0, 9), min_size=1), data=st.data(), seed=st.text())
def test_what_is_left_is_in_order_and_ends_as_before(tokens: list[int], data: st.DataObject, seed: str) -> None:
    ending = data.draw(st.integers(1, len(tokens)))
    places = thinned(range(len(tokens)), ending, seed)
    assert all(one < other for one, other in pairwise(places))
    assert places[-ending:] == list(range(len(tokens)))[-ending:]
    assert thinned(tokens, ending, seed) == [tokens[place] for place in places]


def test_the_share_is_that_which_is_stated() -> None:
    left = [len(thinned(range(101), 1, str(seed))) - 1 for seed in range(200)]
    # The standard error of the mean is 0.32 tokens.
    assert sum(left) / len(left) == pytest.approx(100 * (1 - SHARE), abs=1.6)
    assert len(set(left)) > 5


@pytest.mark.parametrize(
    ("texts", "verbalizer", "ending"),
    [
        (("good dog", "bad cat"), "{{input}} feels: ", len(" feels: ")),
        (("good dog.", "bad cat."), "{{input}}", len(".")),
        (("good", "bad"), "Say: {{input}}", len("d")),
        (("a", "b"), "{{input}}", 1),
        (("same", "same"), "{{input}}", 1),
    ],
)
def test_what_all_inputs_end_with_is_known(
    tiny: LoadedModel, settings: TuningSettings, texts: tuple[str, str], verbalizer: str, ending: int
) -> None:
    rows = [TrainingRow(text, str(number)) for number, text in enumerate(texts)]
    data = encode_rows(rows, tiny.tokenizer, replace(settings, verbalizer=verbalizer))
    assert data.ending == ending  # of the tiny model each byte is a token
    assert all(len(inputs) >= data.ending for inputs, _ in data.rows)
