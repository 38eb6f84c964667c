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

import psutil
import pytest

from comparison import jobs
from comparison.__main__ import compute, describe
from comparison.methods import METHODS, LoRA, Recipe
from comparison.plan import FULL, SMALL, Job, Plan, Trial
from comparison.pool import new_pool
from comparison.results import load
from comparison.store import Store
from prompt_tuning_helpers.evaluation import LABELS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All results of the small plan, truly computed; not to be written to."""
    store = Store.read(tmp_path_factory.mktemp("computed") / "results.jsonl", SMALL)
    store.behaviour = {method.name: {} for method in METHODS}
    for kind in (store.accuracy_jobs, store.cost_jobs):
        while lacking := store.missing(kind):
            for job in lacking:
                store.put(job, jobs.run(SMALL, job))
    return store


def _of_kind(store: Store, kind: str) -> dict[str, dict[str, Any]]:
    """The results of a kind of job, by method."""
    return {result["method"]: result for result in store.results.values() if result["kind"] == kind}


def test_a_small_plan_measures_each_method_once(computed: Store) -> None:
    comparison = load(computed.path, SMALL)
    assert [(found.method, found.rows) for found in comparison.measured] == [(method, 16) for method in SMALL.methods]
    for found in comparison.searched:
        chosen = found.scores[found.chosen]
        if not found.method.judged_by_writing:
            assert chosen.accuracy == max(score.accuracy for score in found.scores.values())
    assert len(comparison.searched) == len(METHODS)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_results_are_well_formed(computed: Store, method: str) -> None:
    measured = _of_kind(computed, "measurement")[method]
    assert len(measured["margins"]) == len(measured["written"]) == 12
    assert set(measured["written"]) <= {*LABELS, "-"}
    answering = _of_kind(computed, "cost of answering")[method]
    assert all(seconds > 0 for seconds in answering["review_seconds"])
    assert answering["saved_bytes"] > 0
    assert (method in _of_kind(computed, "cost of tuning")) == SMALL.method(method).is_tuned
    assert set(measured["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


def test_costs_of_tuning_are_of_updates_after_the_first(computed: Store) -> None:
    costs = _of_kind(computed, "cost of tuning")
    for method, result in costs.items():
        assert len(result["update_seconds"]) == 10
        assert all(seconds > 0 for seconds in result["update_seconds"])
        assert result["trained_parameters"] > 0
        epochs = result["candidate"].get("epochs")
        assert result["updates"] == (2 * epochs if epochs else 1), method  # 16 rows


def test_a_job_gives_the_same_again(computed: Store) -> None:
    for job in computed.measurements():
        if job.method.name in ("prompt-20", "lora-8", "few-shot", "tf-idf"):
            result, again = computed.results[job.name], jobs.run(SMALL, job)
            assert (again["margins"], again["written"]) == (result["margins"], result["written"])


def test_the_opened_soft_prompt_is_the_one_that_answered(computed: Store) -> None:
    (opened,) = _of_kind(computed, "opening").values()
    assert opened["method"] == SMALL.opened
    first = load(computed.path, SMALL).of(SMALL.opened).hits[0][: SMALL.opened_rows]
    assert opened["accuracy"] == pytest.approx(sum(first) / len(first))
    assert len(opened["tokens"]) == 20


class Here:
    """Lets jobs run in this process, and notes which."""

    def __init__(self, run: Callable[[Job], dict[str, Any]]) -> None:
        self.ran: list[str] = []
        self._run = run

    def __call__(self, plan: Plan, job: Job, device: str) -> dict[str, Any]:
        assert device == "cpu"
        self.ran.append(job.name)
        return self._run(job)

    def compute(self, store: Store, processes: int = 2, costs: bool = False) -> dict[str, str]:
        """Compute what is missing of a store's accuracies or costs."""
        with ThreadPoolExecutor(processes) as pool:
            kind = store.cost_jobs if costs else store.accuracy_jobs
            return compute(store, kind, "cpu", pool, processes, self)


@pytest.fixture
def here(computed: Store) -> Here:
    """Gives each job of the small plan the result that it had, whatever its settings are now."""
    results = dict(computed.results)
    return Here(lambda job: results[job.name])


@pytest.fixture
def copied(computed: Store, tmp_path: Path) -> Store:
    """The results of the small plan, to write to."""
    return Store.read(Path(shutil.copy(computed.path, tmp_path)), SMALL)


def test_computing_again_runs_nothing(copied: Store, here: Here) -> None:
    before = copied.path.read_bytes()
    assert here.compute(copied) == here.compute(copied, costs=True) == {}
    assert here.ran == []
    assert copied.path.read_bytes() == before


def test_only_what_is_missing_is_computed(copied: Store, computed: Store, here: Here) -> None:
    names = [name for name, result in copied.results.items() if result["method"] == "lora-8"]
    missing = [name for name in names if name.startswith("measurement") or "learning rate 0.006" in name]
    for name in missing:
        del copied.results[name]
    here.compute(copied)
    assert sorted(here.ran) == sorted(missing)
    assert Store.read(copied.path, SMALL).results == computed.results


def test_a_changed_setting_computes_what_depends_on_it(copied: Store, here: Here) -> None:
    methods = tuple(replace(method, rank=4) if isinstance(method, LoRA) else method for method in SMALL.methods)
    changed = Store.read(copied.path, replace(SMALL, methods=methods))
    changed.behaviour.setdefault("lora-8", {})
    here.compute(changed)
    here.compute(changed, costs=True)
    assert {name.split(": ")[1].split(",")[0] for name in here.ran} == {"lora-8"}
    assert changed.missing(changed.accuracy_jobs) == changed.missing(changed.cost_jobs) == []


def test_another_learning_rate_to_try_computes_that_alone(copied: Store) -> None:
    here = Here(lambda job: {"accuracy": 0.0, "loss": 9.0, "written": 0.0})
    method = SMALL.method("lora-8")
    assert isinstance(method, LoRA)
    chosen = next(job for job in copied.measurements() if job.method == method).candidate
    assert isinstance(chosen, Recipe)
    other = replace(method, learning_rates=(0.0003, 0.001, 0.003, 0.005, 0.006))
    methods = tuple(other if known.name == "lora-8" else known for known in SMALL.methods)
    here.compute(Store.read(copied.path, replace(SMALL, methods=methods)))
    assert here.ran
    assert all(name.startswith("trial: lora-8") and "learning rate 0.005" in name for name in here.ran)


def test_what_is_measured_begins_as_soon_as_its_own_search_has_ended(
    computed: Store, tmp_path: Path, here: Here
) -> None:
    store = Store.read(tmp_path / "results.jsonl", SMALL)
    store.behaviour = {method.name: {} for method in METHODS}
    expected = len(store.expected(store.accuracy_jobs))
    here.compute(store, processes=3)
    here.compute(store, costs=True)
    assert sorted(here.ran) == sorted(computed.results)
    assert len(here.ran) == len(set(here.ran)) > expected  # some searches went on
    assert load(store.path, SMALL) == load(computed.path, SMALL)
    for number, name in enumerate(here.ran):
        if name.startswith("measurement"):
            method = SMALL.method(name.split(": ")[1].split(",")[0])
            needed = f"trial: {SMALL.searched(method).name},"
            assert not any(later.startswith(needed) for later in here.ran[number:])


def test_the_most_rows_come_first(tmp_path: Path) -> None:
    small = replace(SMALL, rows=(16, 32))
    store = Store.read(tmp_path / "results.jsonl", small)
    score = {"accuracy": 0.5, "loss": 0.7, "written": 0.0}
    here = Here(lambda job: score if isinstance(job, Trial) else {})
    here.compute(store, processes=1)
    first = next(number for number, name in enumerate(here.ran) if ", 16 rows" in name)
    assert all(", 16 rows" in name for name in here.ran[first:])
    assert {name.split(":")[0] for name in here.ran[:first]} == {"trial", "measurement", "opening"}


def test_a_job_that_fails_is_named_and_the_others_are_computed(copied: Store, computed: Store) -> None:
    def fail_at_one(job: Job) -> dict[str, Any]:
        if job.method.name == "full" and isinstance(job, Trial):
            raise FloatingPointError("no numbers")
        return computed.results[job.name]

    copied.results.clear()
    here = Here(fail_at_one)
    failed = here.compute(copied)
    assert set(failed.values()) == {"FloatingPointError: no numbers"}
    assert all(name.startswith("trial: full") for name in failed)
    left = {result["method"] for result in computed.results.values()} - {
        result["method"] for result in copied.results.values()
    }
    assert left == {"full"}
    assert len(here.ran) == len(set(here.ran))  # none is tried again


def test_a_full_disk_ends_the_run(copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: Store) -> None:
        raise OSError("No space left on device")

    copied.results.clear()
    here = Here(lambda job: computed.results[job.name])
    monkeypatch.setattr(Store, "_write", full)
    with pytest.raises(OSError, match="No space"):
        here.compute(copied, processes=1)
    assert len(here.ran) == 1


def test_jobs_run_in_processes_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    few = replace(SMALL, methods=(SMALL.method("tf-idf"), SMALL.method("zero-shot")), opened="")
    store = Store.read(tmp_path / "results.jsonl", few)
    store.behaviour = {method.name: {} for method in few.methods}
    with new_pool(2) as pool:
        assert compute(store, store.accuracy_jobs, "cpu", pool, 2) == {}
    assert store.missing(store.accuracy_jobs) == []
    assert {result["machine"]["threads"] for result in store.results.values()} == {1}
    assert Store.read(store.path, few).results == store.results


def test_the_plan_says_what_is_left(computed: Store, tmp_path: Path) -> None:
    said = describe(Store.read(tmp_path / "none", FULL))
    assert said.startswith("0 results fit the plan")
    assert "measurements, 320 rows: 49 jobs" in said
    assert "accuracies together: 0 jobs, 0 updates, 0 reviews answered" in describe(computed)
    assert "costs: 0 jobs, 0 updates" in describe(computed)


def long_job(plan: Plan, job: Job, device: str) -> dict[str, Any]:
    """A job that says when it has begun, and never ends."""
    Path(os.environ["BEGUN"]).touch()
    while True:
        time.sleep(60)


def run_long_job(path: str) -> None:
    """What a process of its own does in the next test."""
    plan = replace(SMALL, methods=(SMALL.method("tf-idf"),), opened="")
    store = Store.read(Path(path), plan)
    compute(store, store.accuracy_jobs, "cpu", new_pool(1), 1, long_job)


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
