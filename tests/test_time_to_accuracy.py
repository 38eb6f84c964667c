"""The benchmark of time to accuracy: when a goal counts as reached, and that each method trains what it says."""

import pytest
import torch

from benchmarks import time_to_accuracy
from benchmarks.time_to_accuracy import CANDIDATES, Run, begin, measure, updates_to_goal
from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import encode_rows, read_rows
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path


def _runs(*curves: list[float]) -> list[Run]:
    return [
        Run("LoRA", 0.001, 5 * len(curve), seed, {5 * (place + 1): value for place, value in enumerate(curve)})
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


@pytest.mark.parametrize("method", CANDIDATES)
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


def test_a_run_is_followed_every_five_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "MODEL", "tiny")
    run = measure("prompt tuning", 0.02, 10, 0)
    assert list(run.accuracy) == [5, 10]
    assert all(0 <= value <= 1 for value in run.accuracy.values())
