"""A whole plan on the tiny model, and computing only what is lacking."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from comparison import __main__ as command
from comparison import jobs
from comparison.asking import load_network
from comparison.methods import METHODS, HardPrompt, LoRA
from comparison.plan import SMALL, Job, Measurement, Plan
from comparison.results import load
from comparison.store import Store
from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.engine import EngineError
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import reviews_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All results of the small plan, truly computed; not to be written to."""
    store = Store.read(tmp_path_factory.mktemp("computed") / "results.jsonl", SMALL)
    while lacking := store.missing():
        for job in lacking:
            store.put(job, jobs.run(SMALL, job))
    return store


def _result(store: Store, method: str) -> dict[str, Any]:
    return store.results[f"{method}-20-rows-seed-0"]


def test_a_small_plan_measures_each_method_once(computed: Store) -> None:
    comparison = load(computed.path, SMALL)
    assert [(found.method, found.rows) for found in comparison.measured] == [(method, 20) for method in METHODS]
    for found in comparison.searched:
        assert tuple(score.candidate for score in found.scores) == found.method.candidates
        (chosen,) = (score for score in found.scores if score.candidate == found.chosen)
        assert chosen.accuracy == max(score.accuracy for score in found.scores)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_results_are_well_formed(computed: Store, method: str) -> None:
    result = _result(computed, method)
    assert result["truth"] == "".join(load_rows(reviews_path("test"))["output"][:12])
    assert len(result["answers"]) == 12
    assert set(result["answers"]) <= set(LABELS)
    assert (result["tuning_seconds"] > 0) == (not isinstance(SMALL.method(method), HardPrompt))
    assert result["scoring_ms"] > 0
    assert result["peak_memory_mb"] > 10
    assert ("opened" in result) == (method == "prompt-20")
    assert set(result["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


def test_parameters_and_sizes_are_those_of_what_is_trained(computed: Store) -> None:
    network = load_network("tiny")
    shape = network.config
    keys = shape.num_key_value_heads * shape.hidden_size // shape.num_attention_heads
    expected = {
        "zero-shot": 0,
        "few-shot": 0,
        "prompt-20": 20 * shape.hidden_size,
        "prompt-50": 50 * shape.hidden_size,
        "prompt-100": 100 * shape.hidden_size,
        "prompt-50-random": 50 * shape.hidden_size,
        "prefix-20": 20 * shape.num_hidden_layers * 2 * keys,
        # Two matrices each beside those of queries and values.
        "lora-8": shape.num_hidden_layers * 8 * (2 * shape.hidden_size + shape.hidden_size + keys),
        "full": sum(parameter.numel() for parameter in network.parameters()),
    }
    found = {name: _result(computed, name) for name in expected}
    assert {name: result["trained_parameters"] for name, result in found.items()} == expected
    for name in expected.keys() - {"zero-shot", "few-shot"}:
        size = found[name]["saved_bytes"]
        assert 0 < size - 4 * expected[name] < 5000, name  # in float32, and the names of the tensors
    assert found["few-shot"]["saved_bytes"] > found["zero-shot"]["saved_bytes"] > 0


def test_a_job_gives_the_same_again_and_reads_only_its_settings(computed: Store) -> None:
    for method in ("prompt-20", "lora-8", "tf-idf"):
        result = _result(computed, method)
        again = jobs.run(SMALL, Measurement(SMALL.method(method), 20, 0, result["chosen"]))
        assert again["answers"] == result["answers"]
        assert again.get("opened") == result.get("opened")


def test_the_opened_soft_prompt_is_the_one_that_answered(computed: Store) -> None:
    result = _result(computed, "prompt-20")
    right = [answer == label for answer, label in zip(result["answers"], result["truth"], strict=True)]
    assert result["opened"]["accuracy"] == pytest.approx(np.mean(right))
    assert len(result["opened"]["tokens"]) == 20


def _put_back_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo at the end of a test what ``compute`` sets."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


class Here:
    """Lets jobs run in this process, and notes which."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run: Callable[[Job], dict[str, Any]]) -> None:
        self.ran: list[str] = []
        self._run = run
        _put_back_environment(monkeypatch)
        monkeypatch.setattr(command, "_pool", ThreadPoolExecutor)

    def __call__(self, plan: Plan, job: Job) -> dict[str, Any]:
        self.ran.append(job.name)
        return self._run(job)


def _look_up(computed: Store) -> Callable[[Job], dict[str, Any]]:
    """The result that a job of the small plan had, whatever its settings are now."""
    results = dict(computed.results)
    return lambda job: results[job.name]


@pytest.fixture
def copied(computed: Store, tmp_path: Path) -> Store:
    """The results of the small plan, to write to."""
    return Store.read(Path(shutil.copy(computed.path, tmp_path)), SMALL)


def test_computing_again_runs_nothing(copied: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(copied))
    before = copied.path.read_bytes()
    command.compute(SMALL, copied, 2, here)
    assert here.ran == []
    assert copied.path.read_bytes() == before


def test_only_what_is_missing_is_computed(copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(computed))
    del copied.results["lora-8-20-rows-seed-0"]
    command.compute(SMALL, copied, 2, here)
    assert here.ran == ["lora-8-20-rows-seed-0"]
    assert Store.read(copied.path, SMALL).results == computed.results


def test_a_changed_setting_computes_what_depends_on_it(
    copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    methods = tuple(replace(method, rank=4) if isinstance(method, LoRA) else method for method in METHODS)
    changed = replace(SMALL, methods=methods)
    command.compute(changed, Store.read(copied.path, changed), 2, here)
    assert here.ran == ["search-lora-8-seed-0", "lora-8-20-rows-seed-0"]
    assert Store.read(copied.path, changed).missing() == []


def test_searches_run_before_what_they_allow_to_measure(
    computed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    path = tmp_path / "results.jsonl"
    command.compute(SMALL, Store.read(path, SMALL), 1, here)
    assert len(here.ran) == len(set(here.ran)) == 18
    assert [name.startswith("search-") for name in here.ran] == [True] * 8 + [False] * 10
    assert load(path, SMALL) == load(computed.path, SMALL)


def test_an_error_ends_the_run_without_the_jobs_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_first(job: Job) -> dict[str, Any]:
        if here.ran == [job.name]:
            raise EngineError("no such model")
        time.sleep(0.3)
        return {"chosen": 1.0}

    here = Here(monkeypatch, fail_at_first)
    with pytest.raises(EngineError, match="no such model"):
        command.compute(SMALL, Store.read(tmp_path / "results.jsonl", SMALL), 1, here)
    assert len(here.ran) < 4  # of 8


def test_jobs_run_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_back_environment(monkeypatch)
    few = replace(SMALL, methods=(SMALL.method("tf-idf"), SMALL.method("zero-shot")))
    command.compute(few, Store.read(tmp_path / "results.jsonl", few), 2)
    store = Store.read(tmp_path / "results.jsonl", few)
    assert store.missing() == []
    assert len(store.results) == 4
    assert {result["machine"]["threads"] for result in store.results.values()} == {1}


def long_job(plan: Plan, job: Job) -> dict[str, Any]:
    """A job that says when it has begun, and never ends."""
    Path(os.environ["BEGUN"]).touch()
    while True:
        time.sleep(60)


def run_long_job(path: str) -> None:
    """What a process of its own does in the next test."""
    plan = replace(SMALL, methods=(SMALL.method("tf-idf"),))
    command.compute(plan, Store.read(Path(path), plan), 1, long_job)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_killing_it_ends_its_jobs(number: signal.Signals, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = "import sys; from tests.comparison.test_compute import run_long_job; run_long_job(sys.argv[1])"
    environment = os.environ | {"BEGUN": str(begun), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command_line = [sys.executable, "-c", code, str(tmp_path / "results.jsonl")]

    def listen() -> None:
        # Tests that run in the background of a shell, or under nohup, hand on that these two are ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    process = subprocess.Popen(command_line, env=environment, stderr=subprocess.DEVNULL, preexec_fn=listen)
    deadline = time.monotonic() + 120
    while not begun.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    try:
        process.wait(60)
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == []
    finally:
        for remaining in [process, *children]:
            with suppress(psutil.NoSuchProcess):
                remaining.kill()
