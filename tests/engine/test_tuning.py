"""Tuning gives the same soft prompt however it is divided up into batches, and after interruptions."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prompt_tuning_helpers._files import AtomicFile
from prompt_tuning_helpers.engine import TuningSettings
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import EncodedRows
from prompt_tuning_helpers.engine.trainer import Trainer
from prompt_tuning_helpers.engine.tune import Progress, TuningStopped, tune
from tests.support.networks import plain_logits


def test_the_loss_falls_and_only_the_soft_prompt_changes(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    weights = tiny.model.embedding.clone()
    seen: list[Progress] = []
    tuned = tune(tiny.model, start, data, replace(settings, num_epochs=40, learning_rate=0.1), report=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 121))
    assert [progress.epoch for progress in seen] == [epoch for epoch in range(40) for _ in range(3)]
    # How far it falls is up to the model: random weights let a soft prompt change little.
    assert sum(p.loss for p in seen[-3:]) < 0.7 * sum(p.loss for p in seen[:3])
    assert tuned.shape == start.shape
    assert not torch.equal(tuned, start)
    assert torch.equal(tiny.model.embedding, weights)


def test_the_reported_loss_is_the_plain_forwards(
    tiny: LoadedModel, tiny_network: torch.nn.Module, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    seen: list[Progress] = []
    tune(tiny.model, start, data, replace(settings, batch_size=10, num_epochs=1), report=seen.append)
    rows = [(data.shared + inputs, outputs) for inputs, outputs in data.rows]
    labels = torch.tensor([token for _, outputs in rows for token in outputs])
    expected = torch.nn.functional.cross_entropy(plain_logits(tiny_network, start, rows), labels)
    assert seen[0].loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_same_seed_gives_the_same_bits(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    first, again = (tune(tiny.model, start, data, settings) for _ in range(2))
    other = tune(tiny.model, start, data, replace(settings, seed=4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_gradient_is_cut_to_the_norm_that_is_asked_for(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    def gradient(most: float | None) -> Tensor:
        trainer = Trainer(tiny.model, start, data, replace(settings, max_gradient_norm=most))
        trainer.step([0, 1, 2])
        return trainer.gradient

    whole = gradient(None)
    assert torch.equal(gradient(1e6), whole)
    cut = gradient(0.25 * float(whole.norm()))
    torch.testing.assert_close(cut, 0.25 * whole)


def test_accumulated_batches_are_one_large_batch(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tune(tiny.model, start, data, replace(settings, batch_size=8))
    monkeypatch.setattr("prompt_tuning_helpers.engine.trainer.MAX_PACKED_TOKENS", 20)  # many chunks
    accumulated = tune(tiny.model, start, data, replace(settings, batch_size=2, accumulate_steps=4))
    torch.testing.assert_close(accumulated, large, rtol=1e-3, atol=1e-4)


def test_an_interrupted_run_ends_with_the_same_bits(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = tune(tiny.model, start, data, settings)
    steps: list[int] = []
    for _ in range(8):  # stopped after every step
        try:
            tuned = tune(
                tiny.model,
                start,
                data,
                settings,
                checkpoint,
                lambda p: steps.append(p.step),
                should_stop=lambda: True,
            )
        except TuningStopped:
            continue
    tuned = tune(tiny.model, start, data, settings, checkpoint, lambda p: steps.append(p.step))
    assert steps == list(range(1, 10))
    assert torch.equal(tuned, whole)


def test_a_half_written_checkpoint_is_removed_when_the_run_resumes(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "job" / "checkpoint.safetensors"
    checkpoint.parent.mkdir()
    AtomicFile(checkpoint).__enter__().close()  # as if the process had been killed here
    assert len(list(checkpoint.parent.iterdir())) == 1
    with pytest.raises(TuningStopped):
        tune(tiny.model, start, data, settings, checkpoint, should_stop=lambda: True)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
