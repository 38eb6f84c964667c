"""A whole plan on the tiny model, and computing only what is lacking."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comparison import __main__ as command
from comparison import jobs, learners, plan
from comparison.learners import LABELS
from comparison.plan import METHODS, SMALL, Job
from comparison.results import Store, load, missing
from prompt_tuning_helpers.datasets import load_rows, reviews_path
from prompt_tuning_helpers.engine import EngineError


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All results of the small plan, truly computed; not to be written to."""
    store = Store(tmp_path_factory.mktemp("computed"))
    while lacking := missing(SMALL, store):
        for job in lacking:
            store.put(job, jobs.run(job))
    return store


def _result(store: Store, method: str) -> dict[str, Any]:
    chosen = (store.get(plan.search_of(SMALL, SMALL.method(method), 0)) or {})["chosen"]
    result = store.get(plan.measurement(SMALL, SMALL.method(method), 20, 0, chosen))
    assert result is not None
    return result


def test_a_small_plan_measures_each_method_once(computed: Store) -> None:
    comparison = load(computed.folder, SMALL)
    assert [(found.method, found.rows) for found in comparison.measured] == [(method, 20) for method in METHODS]
    for search in plan.searches(SMALL):
        found = computed.get(search) or {}
        scores = found["scores"]
        assert list(scores) == search.settings["method"]["candidates"]
        assert scores[found["chosen"]]["accuracy"] == max(score["accuracy"] for score in scores.values())


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_results_are_well_formed(computed: Store, method: str) -> None:
    result = _result(computed, method)
    assert result["truth"] == "".join(load_rows(reviews_path("test"))["output"][:12])
    assert len(result["answers"]) == 12
    assert set(result["answers"]) <= set(LABELS)
    assert (result["tuning_seconds"] > 0) == (SMALL.method(method).family != plan.HARD_PROMPT)
    assert result["scoring_ms"] > 0
    assert result["peak_memory_mb"] > 10
    assert ("opened" in result) == (method == "prompt-20")
    assert set(result["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


def test_parameters_and_sizes_are_those_of_what_is_trained(computed: Store) -> None:
    network = learners._load_network("tiny")
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
        chosen = (computed.get(plan.search_of(SMALL, SMALL.method(method), 0)) or {})["chosen"]
        again = jobs.run(plan.measurement(SMALL, SMALL.method(method), 20, 0, chosen))
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

        def note(job: Job) -> dict[str, Any]:
            self.ran.append(job.name)
            return run(job)

        _put_back_environment(monkeypatch)
        monkeypatch.setattr(command, "run", note)
        monkeypatch.setattr(command, "ProcessPoolExecutor", lambda processes, **options: ThreadPoolExecutor(processes))


def _look_up(computed: Store) -> Callable[[Job], dict[str, Any]]:
    """The result that a job of the small plan had, whatever its settings are now."""
    everything = {path.stem: path for path in computed.folder.iterdir()}

    def run(job: Job) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(everything[job.name].read_text())["result"]
        return result

    return run


@pytest.fixture
def copied(computed: Store, tmp_path: Path) -> Store:
    """The results of the small plan, to write to."""
    return Store(Path(shutil.copytree(computed.folder, tmp_path / "results")))


def test_computing_again_runs_nothing(copied: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(copied))
    before = {path: path.read_bytes() for path in copied.folder.iterdir()}
    command.compute(SMALL, copied, 2)
    assert here.ran == []
    assert {path: path.read_bytes() for path in copied.folder.iterdir()} == before


def test_only_what_is_missing_is_computed(copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Here(monkeypatch, _look_up(computed))
    (copied.folder / "lora-8-20-rows-seed-0.json").unlink()
    command.compute(SMALL, copied, 2)
    assert here.ran == ["lora-8-20-rows-seed-0"]
    assert _result(copied, "lora-8") == _result(computed, "lora-8")


def test_a_changed_setting_computes_what_depends_on_it(
    copied: Store, computed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    changed = replace(
        SMALL,
        methods=tuple(replace(method, rank=4) if method.name == "lora-8" else method for method in METHODS),
    )
    command.compute(changed, copied, 2)
    assert here.ran == ["search-lora-8-seed-0", "lora-8-20-rows-seed-0"]
    assert missing(changed, copied) == []


def test_searches_run_before_what_they_allow_to_measure(
    computed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(monkeypatch, _look_up(computed))
    command.compute(SMALL, Store(tmp_path), 1)
    assert len(here.ran) == len(set(here.ran)) == 18
    assert [name.startswith("search-") for name in here.ran] == [True] * 8 + [False] * 10
    assert load(tmp_path, SMALL) == load(computed.folder, SMALL)


def test_an_error_ends_the_run_without_the_jobs_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_first(job: Job) -> dict[str, Any]:
        if here.ran == [job.name]:
            raise EngineError("no such model")
        time.sleep(0.3)
        return {"chosen": "1"}

    here = Here(monkeypatch, fail_at_first)
    with pytest.raises(EngineError, match="no such model"):
        command.compute(SMALL, Store(tmp_path), 1)
    assert len(here.ran) < 4  # of 8


def test_jobs_run_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_back_environment(monkeypatch)
    store = Store(tmp_path)
    few = replace(SMALL, methods=(SMALL.method("tf-idf"), SMALL.method("zero-shot")))
    command.compute(few, store, 2)
    assert missing(few, store) == []
    assert len(list(tmp_path.iterdir())) == 4
