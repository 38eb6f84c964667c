"""The search for settings: what it refuses, says and plots; its runs are tested in tests/conformance."""

import json
from dataclasses import replace
from unittest import mock

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from prompt_tuning_helpers import PromptTuningSettings, SearchError, SettingsSearch, plot_search, search_settings
from prompt_tuning_helpers._search_runs import Judge
from prompt_tuning_helpers.datasets import DatasetError
from prompt_tuning_helpers.engine.search_plan import Trial, interval_of
from prompt_tuning_helpers.plots import LINES

SETTINGS = PromptTuningSettings(
    accumulate_steps=1,
    batch_size=8,
    learning_rate=0.02,
    max_input_tokens=256,
    max_output_tokens=128,
    num_epochs=3,
    init_text="Great: 1",
    verbalizer="{{input}}",
)


def trial(number: int, rate: float, tokens: int | None = 100, score: float | None = 0.5, start: int = 1) -> Trial:
    interval = None if score is None else interval_of(score, 64)
    failure = "too high" if score is None else None
    loss = None if score is None else 1.2 - score
    learnt = score is not None and score > 0.5
    return Trial(number, rate, tokens, start, 80, 1, score, interval, None, loss, 12.34, failure, learnt)


@pytest.fixture
def search() -> SettingsSearch:
    trials = (
        trial(1, 0.002),
        trial(1, 0.02, score=0.75),
        trial(1, 0.07, score=0.7),
        trial(1, 0.5, score=None),
        trial(2, 0.02, score=0.95),
        trial(2, 0.07, score=0.9),
    )
    return SettingsSearch(SETTINGS, trials[4], trials, (("{{input}}", "Great: 1"),), held_back=64)


# --- what it refuses, before it asks the service anything


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"input": f"a {n}", "output": str(n % 2)} for n in range(10)], "at least 24 rows.*there are 10"),
        ([{"input": f"a {n}", "output": "1"} for n in range(50)], "Every row has the output '1'"),
    ],
)
def test_rows_that_no_search_can_be_made_on_are_refused(rows: list[dict[str, str]], reason: str) -> None:
    client = mock.Mock()
    for given in (rows, pd.DataFrame(rows)):
        with pytest.raises(SearchError, match=reason):
            search_settings(client, "a/model", given)
    with pytest.raises(SearchError, match="Every row has the output '1'"):
        search_settings(client, "a/model", [{"input": "a", "output": "1"}], held_back=rows)
    assert client.mock_calls == []


@pytest.mark.parametrize("rows", [[], [{"input": "a"}], [{"input": "a", "output": None}]])
def test_rows_that_cannot_be_used_are_refused(rows: list[dict[str, str]]) -> None:
    with pytest.raises(DatasetError):
        search_settings(mock.Mock(), "a/model", rows)


# --- scores


ROWS = [{"input": "x", "output": output} for output in ("good", "bad", "good")]


def test_labels_are_read_out_of_answers() -> None:
    judge = Judge(ROWS, ("bad", "good"), None)
    assert judge.score(["Good!", "it is bad", "bad or good?"]) == pytest.approx(2 / 3)
    assert not judge.is_learnt(2 / 3), "always answering good gets as much"
    assert judge.is_learnt(1.0)


def test_texts_must_be_answered_exactly() -> None:
    judge = Judge(ROWS, (), None)
    assert judge.score([" good\n", "bad.", "good"]) == pytest.approx(2 / 3)


def test_the_users_own_scoring_counts() -> None:
    judge = Judge(ROWS, ("bad", "good"), lambda truth, answers: sum(map(len, answers)) / len(truth) / 10)
    assert judge.score(["1234", "12", "123"]) == pytest.approx(0.3)
    assert judge.is_learnt(0.41)
    assert not judge.is_learnt(0.4)


# --- what it says


def test_the_table_has_a_line_for_each_run(search: SettingsSearch) -> None:
    table = search.table
    assert table["learning rate"].tolist() == [0.002, 0.02, 0.07, 0.5, 0.02, 0.07]
    assert table["score"].tolist()[4] == 0.95
    assert [round(table[end].tolist()[4], 2) for end in ("interval from", "interval to")] == [0.87, 0.98]
    happened = table["what happened"].tolist()
    assert happened[0] == "score 0.500, learnt nothing yet"
    assert happened[3] == "failed: too high"
    assert happened[4] == "score 0.950, chosen"


def test_the_verdict_says_what_was_found(search: SettingsSearch) -> None:
    assert search.verdict.startswith("Best of 6 short runs: learning rate 0.02. It answers 64 held-back rows")
    assert "0.950 (0.87 to 0.98)" in str(search)
    for warning in ("edge", "nothing was learnt", "ended early"):
        assert warning not in search.verdict


def test_the_verdict_warns(search: SettingsSearch) -> None:
    at_the_edge = replace(search, best=search.trials[0])
    assert "nothing was learnt" in at_the_edge.verdict
    assert "rates=[...]" in replace(search, best=replace(search.trials[0], learnt=True)).verdict
    assert (
        "ended early, so this is the best of what was tried: no network"
        in replace(search, ended_early="no network").verdict
    )


def test_it_is_shown_as_html_with_nothing_of_the_services_in_it(search: SettingsSearch) -> None:
    trials = (replace(search.trials[3], failure="<b>bad</b>"), *search.trials[1:])
    html = replace(search, trials=trials, ended_early="<script>")._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html


def test_it_speaks_the_language_of_the_lesson(search: SettingsSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    assert "tasa de aprendizaje" in search.verdict
    assert "tasa de aprendizaje" in search.table.columns


def test_it_can_be_written_down(search: SettingsSearch) -> None:
    assert json.loads(search.table.to_json(orient="records"))[4]["score"] == 0.95


# --- its plot


def test_the_plot_shows_a_line_for_each_length_and_the_chosen_run(search: SettingsSearch) -> None:
    matplotlib.use("agg")
    short = tuple(trial(1, rate, tokens=20, score=0.6) for rate in (0.002, 0.02, 0.07))
    figure = plot_search(replace(search, trials=(*search.trials, *short)))
    figure.canvas.draw()
    for ax, value in zip(figure.axes, (0.95, 1.2 - 0.95), strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        of_100, of_20, chosen = (lines[name] for name in ("100 virtual tokens", "20 virtual tokens", "chosen"))
        assert np.asarray(of_100.get_xdata()) == pytest.approx([0.002, 0.02, 0.07])
        assert np.asarray(of_100.get_ydata())[1] == pytest.approx(0.75 if value == 0.95 else 1.2 - 0.75), "short runs"
        assert len(np.asarray(of_20.get_xdata())) == 3
        assert (np.asarray(chosen.get_xdata())[0], np.asarray(chosen.get_ydata())[0]) == pytest.approx((0.02, value))
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.002", "0.02", "0.07"]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["100 virtual tokens", "20 virtual tokens", "longer runs", "chosen"]


def test_lines_are_told_apart_by_contrast_and_marker() -> None:
    def luminance(colour: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))  # WCAG 2.2, relative luminance

    assert all(1.05 / (luminance(colour) + 0.05) >= 4.5 for colour, _ in LINES)
    assert len({marker for _, marker in LINES}) == len(LINES)


def test_starts_are_named_where_there_are_several(search: SettingsSearch) -> None:
    matplotlib.use("agg")
    more = (trial(1, 0.02, start=2), trial(1, 0.07, start=2))
    two = replace(search, trials=(*search.trials, *more), starts=(*search.starts, ("{{input}}:", "Great: 1")))
    names = [text.get_text() for text in plot_search(two).legends[0].get_texts()]
    assert names == ["100 virtual tokens, start 1", "100 virtual tokens, start 2", "longer runs", "chosen"]


def test_a_search_without_a_run_cannot_be_plotted(search: SettingsSearch) -> None:
    with pytest.raises(ValueError, match="all failed"):
        plot_search(replace(search, trials=search.trials[3:4]))
