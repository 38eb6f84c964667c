"""A job that is damaged or cannot be done says so in one line; a damaged checkpoint is set aside, nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from prompt_tuning_helpers.engine import EngineError, TuningSettings
from prompt_tuning_helpers.engine.__main__ import app
from prompt_tuning_helpers.engine.causal_model import PackedRows
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import STOPPED, Job
from prompt_tuning_helpers.engine.llama import LlamaModel
from prompt_tuning_helpers.engine.settings import check_settings
from prompt_tuning_helpers.engine.tune import minibatches

WEIGHTS = Path("soft_prompt", "adapter_model.safetensors")
CHECKPOINT = "checkpoint.safetensors"


@pytest.fixture
def folder(tmp_path: Path, training_file: Path, settings: TuningSettings) -> Path:
    """A job that is yet to be done."""
    Job("tiny", "local/tiny", training_file, settings).write(tmp_path / "job")
    return tmp_path / "job"


def failure(folder: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads((folder / "failure.json").read_text())
    return content


def changed(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(values)


def setting(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["settings"].update(values)


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer version's setting": (setting(x=1), "written by a newer version: unknown setting 'x'"),
    "a newer version's field": (changed(x=1), "written by a newer version: unknown field 'x'"),
    "a missing setting": (lambda content: content["settings"].pop("batch_size"), "setting 'batch_size' is missing"),
    "a missing field": (lambda content: content.pop("model"), "field 'model' is missing"),
    "settings that are none": (changed(settings=None), "no settings"),
    "a model that is a number": (changed(model=5), "model is not a text"),
    "a file that is none": (changed(data=None), "data is not a text"),
    "a text for a number": (setting(num_epochs="3"), "num_epochs is '3'; it must be a whole number"),
    "a text for a norm": (setting(max_gradient_norm="1"), "max_gradient_norm is '1'; it must be a number or null"),
    "a norm of nothing": (setting(max_gradient_norm=0), "max_gradient_norm is 0; it must be above 0"),
    "a flag for a number": (setting(seed=True), "seed is True; it must be a whole number"),
    "a fraction for a whole number": (setting(batch_size=2.5), "batch_size is 2.5; it must be a whole number"),
    "no number": (setting(learning_rate=float("nan")), "learning_rate is nan; it must be above 0"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_job_that_says_nonsense(folder: Path, damage: Callable[[dict[str, Any]], object], message: str) -> None:
    content = json.loads((folder / "job.json").read_text())
    damage(content)
    (folder / "job.json").write_text(json.dumps(content))
    assert run_job(folder) == 1
    assert message in failure(folder)["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\x00", b"[" * 100_000])
def test_a_job_that_is_no_json(folder: Path, training_file: Path, content: bytes) -> None:
    (folder / "job.json").write_bytes(content)
    assert run_job(folder) == 1
    assert "job.json is damaged" in failure(folder)["message"]
    for words in ([], ["--data", str(training_file), "--model", "tiny"]):
        answer = CliRunner().invoke(app, ["tune", str(folder), *words])
        assert answer.exit_code == 1
        assert "job.json is damaged" in answer.output
        assert len(answer.output.splitlines()) == 1
    assert (folder / "job.json").read_bytes() == content


@pytest.mark.parametrize(
    ("target", "words", "message"),
    [
        ("file", ["--data", "DATA"], "cannot be written to"),
        ("file", [], "holds no job"),
        ("file/job", ["--data", "DATA"], "cannot be written to"),
        ("new", ["--data", "."], "no training file"),
        ("new", ["--data", "DATA", "--setting", f"seed={2**64}"], "seed is 18446744073709551616; it must be from 0"),
        ("new", ["--data", "DATA", "--setting", "seed=-1"], "seed is -1"),
        ("new", ["--data", "DATA", "--setting", "max_gradient_norm=-1"], "max_gradient_norm is -1.0; it must be above"),
        ("new", ["--data", "DATA", "--setting", "max_gradient_norm=much"], "which is no float"),
        ("new", ["--data", "DATA", "--setting", "learning_rate=nan"], "learning_rate is nan"),
        ("new", ["--data", "DATA", "--setting", f"num_virtual_tokens={10**12}"], "num_virtual_tokens is 1000000000000"),
        ("new", ["--data", "DATA", "--setting", "seed=1.5"], "which is no int"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, training_file: Path, target: str, words: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("kept")
    given = [str(training_file) if word == "DATA" else word for word in words]
    answer = CliRunner().invoke(app, ["tune", str(tmp_path / target), "--model", "tiny", *given])
    assert answer.exit_code == 1
    assert message in answer.output
    assert len(answer.output.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "kept"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 2**63),
        pytest.param("seed", 10**5000, id="seed-thousands-of-digits"),
        ("seed", None),
        ("seed", 1.0),
        ("num_virtual_tokens", 0),
        ("num_virtual_tokens", 2**31),
        pytest.param("num_epochs", 10**400, id="num_epochs-hundreds-of-digits"),
        ("batch_size", True),
        ("max_input_tokens", "5"),
        ("accumulate_steps", [1]),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        pytest.param("learning_rate", 10**400, id="learning_rate-hundreds-of-digits"),
        ("learning_rate", 0),
        ("learning_rate", True),
        ("learning_rate", "fast"),
        ("init_method", 5),
        ("init_method", "other"),
        ("init_text", 5),
        ("init_text", None),
        ("init_text", "\ud800"),
        ("verbalizer", None),
        ("verbalizer", ["{{input}}"]),
        ("verbalizer", "\ud800{{input}}"),
    ],
)
def test_settings_out_of_range_are_named(settings: TuningSettings, name: str, value: Any) -> None:
    check_settings(settings)
    with pytest.raises(EngineError, match=name):
        check_settings(replace(settings, **{name: value}))


def test_any_seed_gives_an_order(settings: TuningSettings) -> None:
    seeds = (0, 1, 2**31 - 1, 2**63 - 1)
    orders = [next(minibatches(50, replace(settings, seed=seed, batch_size=50)))[1] for seed in seeds]
    for seed, order in zip(seeds, orders, strict=True):
        check_settings(replace(settings, seed=seed))
        assert sorted(order) == list(range(50))
    assert len({tuple(order) for order in orders}) == len(seeds)
    generator = torch.Generator().manual_seed(10_007)  # earlier runs resume in their own order
    assert orders[1] == torch.randperm(50, generator=generator).tolist()


def test_an_error_that_nobody_expects_is_written_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise TypeError("a surprise")

    monkeypatch.setattr("prompt_tuning_helpers.engine.rows.read_rows", fail)
    assert run_job(folder) == 1
    assert failure(folder) == {
        "code": "training_failed",
        "message": "Tuning stopped: a surprise. The log of the job says more.",
    }


def test_a_missing_training_file_is_told_in_one_line(
    folder: Path, training_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training_file.unlink()
    assert run_job(folder) == 1
    printed = capfd.readouterr()
    assert str(training_file) in printed.out
    assert len((printed.out + printed.err).splitlines()) == 1


def test_a_soft_prompt_that_is_no_numbers_is_not_kept(
    folder: Path, training_file: Path, settings: TuningSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_slope(self: LlamaModel, prefix: Tensor, rows: PackedRows) -> Tensor:
        return torch.zeros(len(rows.labels), 259) + (prefix.sum() * 0).sqrt()

    monkeypatch.setattr(LlamaModel, "label_logits", without_slope)
    Job("tiny", "tiny", training_file, replace(settings, batch_size=100, num_epochs=1)).write(folder)
    assert run_job(folder) == 1
    assert failure(folder)["code"] == "training_diverged"
    assert not (folder / "soft_prompt").exists()


@pytest.fixture
def stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that was stopped after its second step, and beside it one that was not disturbed."""
    undisturbed = Path(shutil.copytree(folder, folder.with_name("undisturbed")))
    assert run_job(undisturbed) == 0
    stops = iter([False, True])
    with monkeypatch.context() as patched:
        patched.setattr("prompt_tuning_helpers.engine.trainer.Trainer.any_process", lambda *_: next(stops))
        assert run_job(folder) == STOPPED
    return folder


def losses(folder: Path) -> list[tuple[int, float]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(record["iteration"], record["loss"]) for record in records]


def ends_as_undisturbed(folder: Path) -> bool:
    undisturbed = folder.with_name("undisturbed")
    tuned = [load_file(path / WEIGHTS)["prompt_embeddings"] for path in (folder, undisturbed)]
    return torch.equal(*tuned) and losses(folder) == losses(undisturbed)


def rewritten(step: str | None = "2", **changes: Callable[[Tensor], Tensor | None]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        tensors = load_file(path)
        for name, change in changes.items():
            tensor = change(tensors.pop(name))
            tensors |= {name: tensor.contiguous()} if tensor is not None else {}
        save_file(tensors, path, {"update": step} if step else None)

    return rewrite


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"\x01" * 500),
    "a folder": replace_by_folder,
    "no step": rewritten(None),
    "a step that is no number": rewritten("two"),
    "a step before the first": rewritten("-2"),
    "a step after the last": rewritten("10"),
    "no moments": rewritten(exp_avg=lambda tensor: None),
    "another shape": rewritten(prompt=lambda tensor: tensor[:-1]),
    "moments of another shape": rewritten(exp_avg_sq=lambda tensor: tensor[:, :-1]),
    "another type": rewritten(prompt=lambda tensor: tensor.half()),
    "no numbers": rewritten(prompt=lambda tensor: tensor * torch.nan),
    "negative squares": rewritten(exp_avg_sq=lambda tensor: -1 - tensor),
}


@pytest.mark.parametrize("damage", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_damaged_checkpoint_is_set_aside(
    stopped: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    damage(stopped / CHECKPOINT)
    (stopped / "checkpoint.damaged-1.safetensors").write_text("an earlier one")
    assert run_job(stopped) == 0
    assert ends_as_undisturbed(stopped)
    assert (stopped / "checkpoint.damaged-1.safetensors").read_text() == "an earlier one"
    assert (stopped / "checkpoint.damaged-2.safetensors").exists()
    assert "checkpoint.damaged-2.safetensors; tuning starts anew" in caplog.text


def test_a_sound_checkpoint_is_gone_on_from(stopped: Path) -> None:
    assert run_job(stopped) == 0
    assert ends_as_undisturbed(stopped)
    assert not list(stopped.glob("*damaged*"))


@pytest.mark.slow
def test_several_processes_set_a_damaged_checkpoint_aside_together(stopped: Path) -> None:
    (stopped / CHECKPOINT).write_bytes(b"rubbish")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, "-m", "prompt_tuning_helpers.engine", "tune", str(stopped)]
    ended = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False, timeout=120)
    assert ended.returncode == 0
    assert [step for step, _ in losses(stopped)] == [step for step, _ in losses(stopped.parent / "undisturbed")]
    assert (stopped / "checkpoint.damaged-1.safetensors").read_bytes() == b"rubbish"


METRICS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "lines that are none": lambda lines: [b"5", lines[0], b"null", b"{}", b'{"iteration": "1"}', lines[1], b"[1]"],
    "binary": lambda lines: [b"\xff\xfe\x00", lines[0], b"\x80", lines[1]],
    "nested too deeply": lambda lines: [b"[" * 100_000, *lines],
    "out of order": lambda lines: lines[::-1],
    "half a line": lambda lines: [*lines, lines[0][:20]],
    "no numbers": lambda lines: [*lines, lines[0].replace(b'"loss": ', b'"loss": NaN, "was": ')],
    "numbers beyond all": lambda lines: [lines[0], lines[0].replace(b'"loss": ', b'"loss": 1e999, "was": '), lines[1]],
}


@pytest.mark.parametrize("damage", METRICS.values(), ids=METRICS)
def test_damaged_metrics_are_mended(stopped: Path, damage: Callable[[list[bytes]], list[bytes]]) -> None:
    path = stopped / "metrics.jsonl"
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())))
    assert run_job(stopped) == 0
    assert ends_as_undisturbed(stopped)
