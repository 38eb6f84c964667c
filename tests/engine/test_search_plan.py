"""The plan of a search: which rows are held back, which rates are tried, who goes on."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from prompt_tuning_helpers.engine.search_plan import (
    LEAST_ROWS,
    MOST_HELD_BACK,
    ROUNDS,
    Round,
    SearchError,
    Trial,
    best_of,
    full_epochs,
    halve,
    hold_back,
    interval_of,
    is_at_the_edge,
    labels_in,
    plan_rounds,
    rates_for,
    solved_examples,
    stratified_order,
    unit_of,
)

OUTPUTS = st.lists(st.sampled_from(["0", "1", "perhaps"]), min_size=LEAST_ROWS, max_size=300)
SEEDS = st.integers(0, 2**32)


@given(OUTPUTS, SEEDS)
def test_every_beginning_has_each_output_in_about_its_share(outputs: list[str], seed: int) -> None:
    order = stratified_order(outputs, seed)
    assert sorted(order) == list(range(len(outputs)))
    assert order == stratified_order(outputs, seed)
    shares = {output: count / len(outputs) for output, count in Counter(outputs).items()}
    seen = Counter[str]()
    for place, index in enumerate(order, start=1):
        seen[outputs[index]] += 1
        # Of each output the next row comes at a random place of its own part: at most a row is early or late, for each.
        assert all(abs(seen[output] - place * share) < len(shares) for output, share in shares.items())


@given(OUTPUTS.filter(lambda outputs: len(set(outputs)) > 1), SEEDS)
def test_rows_are_either_tuned_on_or_held_back(outputs: list[str], seed: int) -> None:
    training, held_back = hold_back(outputs, seed)
    assert sorted([*training, *held_back]) == list(range(len(outputs)))
    assert len(held_back) == min(MOST_HELD_BACK, len(outputs) // 4)


def test_another_seed_holds_back_other_rows() -> None:
    outputs = ["0", "1"] * 40
    assert hold_back(outputs, 1)[1] != hold_back(outputs, 2)[1]


def test_texts_are_held_back_at_random() -> None:
    training, held_back = hold_back([f"a text {number}" for number in range(40)])
    assert len(held_back) == 10
    assert sorted(held_back) != held_back
    assert set(training).isdisjoint(held_back)


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [([], "at least 24 rows.*there are 0"), (["0", "1"] * 11, "there are 22"), (["1"] * 50, "Every row.*'1'")],
)
def test_rows_that_no_search_can_be_made_on_are_refused(outputs: list[str], reason: str) -> None:
    with pytest.raises(SearchError, match=reason):
        hold_back(outputs)


@given(st.integers(1, 100), st.integers(18, 5000), st.integers(1, 128))
def test_fewer_and_fewer_candidates_get_longer_and_longer_runs(candidates: int, rows: int, per_update: int) -> None:
    rounds = plan_rounds(candidates, rows, per_update)
    assert rounds[0].candidates == candidates
    assert rounds[-1].kept == 1
    assert [each.kept for each in rounds[:-1]] == [each.candidates for each in rounds[1:]]
    assert all(each.kept < each.candidates for each in rounds[:-1])
    for each, updates in zip(rounds, ROUNDS[-len(rounds) :], strict=True):
        assert each.rows <= rows
        # As many rows as the updates need, and less than one more pass.
        assert updates * per_update <= each.rows * each.epochs < updates * per_update + each.rows


def test_the_default_search_passes_fewer_rows_than_a_tuning_run_of_the_lesson_and_a_half() -> None:
    """Three passes over 320 rows take about 170 s on two cores; half of the runs have a fifth of the virtual tokens."""
    rounds = plan_rounds(8, 256, 8)
    assert [(each.candidates, each.rows * each.epochs) for each in rounds] == [(8, 80), (2, 200)]
    assert sum(each.passes for each in rounds) == 1040 < 1.5 * 3 * 320


@given(st.integers(1, 10**6), st.integers(1, 128), st.integers(0, 20))
def test_a_full_run_updates_often_enough_and_not_much_more(rows: int, per_update: int, labels: int) -> None:
    epochs = full_epochs(rows, per_update, labels)
    updates = math.ceil(rows / per_update)
    wanted = 60 * max(2, labels)
    assert 1 <= epochs <= 50
    assert epochs in (1, 50) or wanted <= epochs * updates < wanted + updates


def test_the_lesson_keeps_its_passes_and_more_labels_get_more() -> None:
    assert [full_epochs(320, 8, labels) for labels in (0, 2, 5)] == [3, 3, 8]


def test_rates_are_in_proportion_to_what_they_move() -> None:
    small, large = (rates_for(unit_of("text", rms)) for rms in (0.01, 1.0))
    assert [big / little for little, big in zip(small, large, strict=True)] == pytest.approx([100] * len(small))
    assert rates_for(unit_of("random", 0.01)) == rates_for(unit_of("random", None))
    assert 0.02 in rates_for(0.1356), "what was measured to be best on SmolLM2"
    wide = rates_for(unit_of("text", None))
    assert max(wide) / min(wide) > 100


def trial(rate: float, number: int = 1, **values: float) -> Trial:
    return Trial(number, rate, 20, 1, rows=80, epochs=1, **values)  # type: ignore[arg-type]


def test_the_best_go_on_and_one_that_failed_does_not() -> None:
    made: list[tuple[int, int]] = []

    def attempt(candidate: int, each: Round, number: int) -> Trial:
        made.append((number, candidate))
        return trial(candidate, number) if candidate == 7 else trial(candidate, number, score=candidate / 10)

    halve(range(8), plan_rounds(8, 256, 8), attempt)
    assert made == [*((1, candidate) for candidate in range(8)), (2, 6), (2, 5)]


def test_the_loss_of_held_back_rows_decides_where_it_is_known() -> None:
    trials = [trial(0.1, score=0.9, held_back_loss=0.5), trial(0.2, score=0.8, held_back_loss=0.3)]
    best = best_of(trials)
    assert best is trials[1]
    trials = [trial(0.1, score=0.5, held_back_loss=0.3), trial(0.2, score=0.8, held_back_loss=0.4, learnt=True)]
    assert best_of(trials) is trials[1], "the first has only learnt how an answer ends"
    trials = [trial(0.1, score=0.9, final_loss=0.5), trial(0.2, score=0.9, final_loss=0.3), trial(0.3, score=0.8)]
    assert best_of(trials) is trials[1]


def test_the_last_round_that_gave_anything_decides() -> None:
    first, second, failed = trial(0.1, 1, score=0.9), trial(0.2, 2, score=0.6), trial(0.3, 3)
    assert best_of([first, second, failed]) is second
    assert best_of([failed]) is None
    assert best_of([]) is None


def test_a_rate_at_the_edge_is_noticed() -> None:
    trials = [trial(rate) for rate in (0.1, 0.2, 0.3)]
    assert [is_at_the_edge(each, trials) for each in trials] == [True, False, True]
    assert not is_at_the_edge(trials[0], trials[:1])


@given(st.integers(1, 500), st.data())
def test_intervals_are_wilsons(rows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, rows))
    expected = proportion_confint(right, rows, alpha=0.05, method="wilson")
    assert interval_of(right / rows, rows) == pytest.approx(expected, abs=1e-9)


def test_labels_are_few_and_come_again() -> None:
    assert labels_in(["1", "0"] * 10) == ("0", "1")
    assert labels_in([f"text {number}" for number in range(15)]) == ()
    assert labels_in([str(number % 30) for number in range(300)]) == ()


def test_examples_are_short_rows_of_each_output_without_the_shared_instruction() -> None:
    inputs = [f"Say which.\nComment: {'x' * number}\n" for number in range(1, 9)]
    outputs = ["0", "0", "1", "1", "0", "1", "0", "1"]
    text = solved_examples(inputs, outputs)
    assert text.startswith("Comment: x\n0\nComment: xxx\n1\nComment: xx\n0\nComment: xxxx\n1\n")
    assert "Say which" not in text


@given(st.lists(st.tuples(st.text(max_size=600), st.text(min_size=1, max_size=50)), min_size=1, max_size=30))
def test_any_rows_give_a_text_of_bounded_length(rows: list[tuple[str, str]]) -> None:
    assert 0 < len(solved_examples(*zip(*rows, strict=True))) <= 500
