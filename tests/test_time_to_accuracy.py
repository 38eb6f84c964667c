"""The benchmark of time to accuracy: when a goal counts as reached, and that each method trains what it says."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks import time_to_accuracy
from benchmarks.time_to_accuracy import (
    CANDIDATES,
    CHOSEN,
    SEEDS,
    SHORT,
    Candidate,
    Run,
    begin,
    measure,
    read_runs,
    runs_of,
    seconds_of_updates,
    seconds_to_goal,
    updates_to_goal,
)
from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import encode_rows, read_rows
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path


def _runs(*curves: list[float]) -> list[Run]:
    return [
        Run(
            Candidate("LoRA", 0.001, 5 * len(curve)),
            seed,
            {5 * (place + 1): value for place, value in enumerate(curve)},
        )
        for seed, curve in enumerate(curves)
    ]


@pytest.mark.parametrize(
    ("curves", "reached"),
    [
        ([[0.5, 0.93, 0.95]], 10),
        ([[0.95, 0.5, 0.94]], 15),  # it has to stay there
        ([[0.95, 0.95, 0.5]], None),
        ([[0.90, 0.96], [0.96, 0.90]], 5),  # the mean counts
        ([[0.5, 0.92]], None),
    ],
)
def test_a_goal_is_reached_where_the_mean_stays_at_it(curves: list[list[float]], reached: int | None) -> None:
    assert updates_to_goal(_runs(*curves)) == reached


@pytest.mark.parametrize("method", SHORT)
def test_each_method_trains_its_own_part(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "MODEL", "tiny")
    data = encode_rows(read_rows(reviews_path("train"))[:8], loading.load_tokenizer("tiny"), LOCAL_SETTINGS)
    training = begin(method, data, LOCAL_SETTINGS)
    prompt = training.prompt().clone()
    network = training.model.network if isinstance(training.model, TransformersModel) else None
    before = {name: value.detach().clone() for name, value in network.named_parameters()} if network else {}
    for _ in range(2):  # LoRA's first update leaves one of its two matrices as it was
        training.update([0, 1, 2, 3], 1.0)
    changed = {name for name, value in (network.named_parameters() if network else ()) if not value.equal(before[name])}
    if method == "prompt tuning":
        assert not torch.equal(training.prompt(), prompt)
    elif method == "LoRA":
        assert changed == {name for name in before if "lora" in name}
    else:
        assert changed == set(before)


def test_the_second_half_of_a_run_is_followed_every_five_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "MODEL", "tiny")
    run = measure(Candidate("prompt tuning", 0.02, 15), 0, is_rounded=False)
    assert list(run.accuracy) == [10, 15]
    assert all(0 <= value <= 1 for value in run.accuracy.values())


@pytest.fixture
def made_up() -> list[Run]:
    """All runs of what is chosen; prompt tuning gets to the goal after 55 updates, full fine-tuning after 30."""
    runs = []
    for candidate in CHOSEN:
        reached = {"prompt tuning": 55, "LoRA": 1_000, "full fine-tuning": 30}[candidate.method]
        accuracy = {step: 0.95 if step >= reached else 0.5 for step in range(5, candidate.updates + 1, 5)}
        runs += [Run(candidate, seed, accuracy) for seed in SEEDS]
    return runs


def test_runs_that_are_kept_are_not_made_again(made_up: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(asdict(run)) + "\n" for run in made_up), encoding="utf-8")
    assert [run for alike in runs_of(CHOSEN, is_rounded=False, path=path).values() for run in alike] == made_up


def test_the_runs_that_make_bench_needs_are_kept() -> None:
    kept = {(run.candidate, run.seed) for run in read_runs()}
    assert {(candidate, seed) for candidate in CHOSEN for seed in SEEDS} <= kept


def test_seconds_to_the_goal_are_updates_times_their_seconds(
    made_up: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_candidate = {candidate: [run for run in made_up if run.candidate == candidate] for candidate in CHOSEN}
    monkeypatch.setattr(time_to_accuracy, "runs_of", lambda candidates, _: by_candidate)
    monkeypatch.setattr(time_to_accuracy, "rounds_here", lambda: True)
    monkeypatch.setattr(time_to_accuracy, "seconds_of_updates", lambda candidates, _: dict.fromkeys(candidates, 2.0))
    assert seconds_to_goal() == {"prompt": 110.0, "lora": None, "full": 60.0}


def test_one_candidate_of_each_method_is_chosen() -> None:
    assert {candidate.method for candidate in CHOSEN} == set(SHORT)
    assert len(CHOSEN) == len(SHORT)
    assert len(set(CANDIDATES)) == len(CANDIDATES)


def test_updates_are_timed_by_method_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "MODEL", "tiny")
    candidates = [Candidate("prompt tuning", 0.02, 5, rows=rows, cut=cut) for rows in (2, 4) for cut in (None, 1.0)]
    took = seconds_of_updates(candidates, is_rounded=False, rounds=1)
    assert list(took) == candidates
    assert len(set(took.values())) == 2
    assert min(took.values()) > 0
