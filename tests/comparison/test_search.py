"""A search goes through its coordinates one by one, follows what gets better, and tries nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparison.methods import METHODS, Axis, Candidate, HardPrompt, Recipe, WrittenPrompt
from comparison.search import DIVERGED, REACH, Score, search

RATES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
START = Recipe(0.008, 4)
AXES = (Axis("learning_rate", RATES), Axis("epochs", (1, 2, 4, 8, 16)), Axis("template", ("a", "feels"), False))


def _scores(losses: dict[tuple[str, object], float]) -> dict[Candidate, Score]:
    """Every candidate's score: all equally accurate, with a loss that its values add up to."""
    return {
        Recipe(rate, epochs, template): Score(
            0.9,
            1.0
            + losses.get(("learning_rate", rate), 1)
            + losses.get(("epochs", epochs), 1)
            + losses.get(("template", template), 1),
            0.5,
        )
        for rate in RATES
        for epochs in (1, 2, 4, 8, 16)
        for template in ("a", "feels")
    }


def _rounds(scores: dict[Candidate, Score], by_writing: bool = False) -> tuple[list[list[Candidate]], Candidate]:
    """Let a search run as jobs let it: what it asks for is tried, and it goes on. Gives each round, and its choice."""
    known: dict[Candidate, Score] = {}
    rounds = []
    while (found := search(START, AXES, known.get, by_writing)).missing:
        rounds.append(found.missing)
        known |= {candidate: scores[candidate] for candidate in found.missing}
    assert found.scores == known
    return rounds, found.chosen


def test_neighbours_come_first_then_the_next_coordinate_at_the_best() -> None:
    rounds, chosen = _rounds(_scores({("learning_rate", 0.008): 0, ("epochs", 4): 0, ("template", "a"): 0}))
    assert rounds == [
        [START, Recipe(0.004, 4), Recipe(0.016, 4)],
        [Recipe(0.008, 2), Recipe(0.008, 8)],
        [Recipe(0.008, 4, "a")],
    ]
    assert chosen == Recipe(0.008, 4, "a")


def test_a_best_at_the_end_of_what_was_tried_is_followed_but_not_for_ever() -> None:
    falling: dict[tuple[str, object], float] = {("learning_rate", rate): -rate for rate in RATES}
    rounds, chosen = _rounds(_scores(falling))
    assert rounds[1] == [Recipe(0.032, 4)]  # the next beyond, and then no further
    assert isinstance(chosen, Recipe)
    assert chosen.learning_rate == RATES[RATES.index(START.learning_rate) + REACH] == 0.032


def test_values_end_where_they_end() -> None:
    start = Recipe(RATES[0], 4)
    found = search(start, AXES[:1], lambda candidate: Score(0.5, -candidate.learning_rate, 0.5))  # type: ignore[union-attr]
    assert [candidate.learning_rate for candidate in found.scores] == [0.001, 0.002, 0.004]  # type: ignore[union-attr]


def test_the_more_accurate_wins_then_the_surer_and_an_equal_changes_nothing() -> None:
    equal = Score(0.9, 0.5, 0.5)
    assert _rounds(dict.fromkeys(_scores({}), equal))[1] == START
    surer = _scores({}) | {Recipe(0.004, 4): Score(0.9, 0.1, 0.5)}
    assert _rounds(surer)[1] == Recipe(0.004, 4)
    righter = surer | {Recipe(0.016, 4): Score(0.95, 5.0, 0.5)}
    assert _rounds(righter)[1] == Recipe(0.016, 4)


def test_a_search_by_writing_looks_at_what_is_written() -> None:
    scores = _scores({}) | {Recipe(0.004, 4): Score(0.99, 0.1, 0.4), Recipe(0.016, 4): Score(0.6, 0.9, 0.8)}
    assert _rounds(scores, by_writing=True)[1] == Recipe(0.016, 4)


def test_what_diverges_is_the_worst_and_the_search_goes_the_other_way() -> None:
    scores = _scores({}) | {Recipe(rate, 4): DIVERGED for rate in RATES[3:]}
    rounds, chosen = _rounds(scores)
    assert rounds[:2] == [[START, Recipe(0.004, 4), Recipe(0.016, 4)], [Recipe(0.002, 4)]]
    assert chosen == Recipe(0.004, 4)
    assert DIVERGED.diverged
    assert not Score(0.0, 9.9, 0.0).diverged


def test_a_wording_that_another_draw_of_examples_brings_out_is_found() -> None:
    few_shot = next(method for method in METHODS if isinstance(method, HardPrompt) and method.draws > 1)
    accuracy: dict[Candidate, float] = {
        WrittenPrompt("question", 4, 0): 0.7,  # the best of the first draw
        WrittenPrompt("question", 4, 2): 0.75,
        WrittenPrompt("sentiment", 4, 2): 0.8,
        WrittenPrompt("sentiment", 4, 5): 0.9,
    }
    found = search(few_shot.start(320), few_shot.axes, lambda tried: Score(accuracy.get(tried, 0.5), 0.5, 0.5))
    assert found.chosen == WrittenPrompt("sentiment", 4, 5)
    assert len(found.scores) == 10 + 1 + 5 + 9 + 4


def test_without_coordinates_the_start_alone_is_tried() -> None:
    assert search(START, (), lambda candidate: None).missing == [START]
    assert search(START, (), lambda candidate: DIVERGED).chosen == START


@given(st.randoms(use_true_random=False))
def test_whatever_the_scores_nothing_is_tried_twice_and_the_choice_is_the_best_on_the_last_axis(random: object) -> None:
    scores: dict[Candidate, Score] = {
        candidate: Score(round(random.random(), 1), random.random(), random.random())  # type: ignore[attr-defined]
        for candidate in _scores({})
    }
    rounds, chosen = _rounds(scores)
    tried = [candidate for group in rounds for candidate in group]
    assert len(tried) == len(set(tried)) <= 5 + 4 + 1
    best = max(tried, key=lambda candidate: (scores[candidate].accuracy, -scores[candidate].loss))
    assert chosen == best  # each step keeps the best of all so far


@pytest.mark.parametrize("value", [0.5, 3])
def test_a_start_that_is_no_value_of_its_axis_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="tuple"):
        search(Recipe(value, 4), AXES, lambda candidate: None)
