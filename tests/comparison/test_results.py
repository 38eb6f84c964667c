"""Stored results: what is kept, when it counts, and what the seeds of a method give together."""

import dataclasses
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comparison import hard_prompts, methods, plan
from comparison.behaviour import is_same
from comparison.hard_prompts import WORDINGS
from comparison.methods import METHODS, Method, PromptTuning, candidate_as_json
from comparison.plan import FULL, SMALL, Job, Measurement, Plan, Search
from comparison.results import Machine, Score, load
from comparison.store import Store
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

RESULTS = Path(__file__).parents[2] / "notebooks" / "comparison" / "results.jsonl"
NOT_OF_RESULTS = {"name", "title", "searched_as", "learns_from_little"}


def fill(store: Store) -> None:
    """Make up a result for each job of a store's plan."""
    generator = np.random.default_rng(0)
    while jobs := store.missing():
        for job in jobs:
            store.put(job, _made_up(store.plan, job, generator))


def _made_up(what: Plan, job: Job, generator: np.random.Generator) -> dict[str, Any]:
    if isinstance(job, Search):
        scores = [Score(candidate, 0.5, 0.7).as_json() for candidate in job.method.candidates]
        return {"scores": scores, "chosen": candidate_as_json(job.method.candidates[1])}
    labels = generator.integers(0, 2, (2, what.test_rows))
    numbers = {"scoring_ms": 2.0, "tuning_seconds": 1.0 + job.seed, "peak_memory_mb": 100.0}
    machine = {"machine": {"cpu": "One", "threads": 1}}
    opened = {"opened": {"accuracy": 0.5, "tokens": []}} if what.opens(job) else {}
    answers, truth = ("".join(map(str, row)) for row in labels)
    made = {"answers": answers, "truth": truth, "trained_parameters": 7, "saved_bytes": 9}
    return made | numbers | machine | opened


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up results of the small plan; not to be written to."""
    store = Store.read(tmp_path_factory.mktemp("complete") / "results.jsonl", SMALL)
    fill(store)
    return store.path


@pytest.fixture
def store(complete: Path, tmp_path: Path) -> Store:
    """The same, to write to."""
    return Store.read(Path(shutil.copy(complete, tmp_path)), SMALL)


def _missing(path: Path, what: Plan = SMALL) -> set[str]:
    return {job.name for job in Store.read(path, what).missing()}


def _with_method(what: Plan, changed: Method) -> Plan:
    return replace(what, methods=tuple(changed if method.name == changed.name else method for method in what.methods))


def _other(value: object) -> Any:
    if isinstance(value, int):
        return value + 1
    return f"{value}x" if isinstance(value, str) else value[:-1]  # type: ignore[index]


ALL_SEARCHES = {job.name for job in SMALL.searches()}


def test_nothing_is_missing_from_a_complete_set(complete: Path) -> None:
    assert _missing(complete) == set()
    assert len(Store.read(complete, SMALL).results) == 18  # 8 searches, 10 measurements


def test_what_is_read_is_what_was_put(complete: Path, store: Store) -> None:
    store.put(SMALL.searches()[0], store.results["search-zero-shot-seed-0"])
    assert store.path.read_bytes() == complete.read_bytes()
    assert Store.read(store.path, SMALL) == store


def test_settings_are_written_once_and_each_result_is_a_line(complete: Path) -> None:
    first, *lines = [json.loads(line) for line in complete.read_text().splitlines()]
    assert first == {"plan": SMALL.settings()}
    assert [line["method"] for line in lines[: len(METHODS)]] == [method.name for method in METHODS]
    names = [line["job"] for line in lines[len(METHODS) :]]
    assert names == sorted(names)
    assert len(names) == 18


def test_measurements_wait_for_their_search(tmp_path: Path) -> None:
    assert _missing(tmp_path / "nowhere") == ALL_SEARCHES


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(PromptTuning) if field.name not in NOT_OF_RESULTS]
)
def test_a_changed_method_shows_no_old_result_and_leaves_the_others_theirs(complete: Path, field: str) -> None:
    method = SMALL.method("prompt-50")
    changed = _with_method(SMALL, replace(method, **{field: _other(getattr(method, field))}))
    assert _missing(complete, changed) == {"search-prompt-50-seed-0"}  # the measurements wait for it
    measured = Measurement(changed.method("prompt-50"), 20, 0, method.candidates[1])
    assert Store.read(complete, changed).get(measured) is None


def test_another_choice_of_the_search_shows_no_old_result(store: Store) -> None:
    store.put(SMALL.search_of(SMALL.method("prompt-50"), 0), {"scores": [], "chosen": 0.04})
    assert _missing(store.path) == {f"prompt-{tokens}-20-rows-seed-0" for tokens in (20, 50, 100)}


@pytest.mark.parametrize("field", ["model", "search_rows", "test_rows"])
def test_a_changed_plan_shows_no_old_result(complete: Path, field: str) -> None:
    changed = replace(SMALL, **{field: _other(getattr(SMALL, field))})
    assert Store.read(complete, changed).results == {}


def test_another_soft_prompt_to_open_is_measured_again(complete: Path) -> None:
    changed = replace(SMALL, opened="prompt-50")
    assert _missing(complete, changed) == {"prompt-20-20-rows-seed-0", "prompt-50-20-rows-seed-0"}


@pytest.mark.parametrize("name", ["batch_size", "init_text", "max_input_tokens", "verbalizer"])
def test_another_default_of_the_lesson_shows_no_old_result(
    complete: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed = replace(LOCAL_SETTINGS, **{name: _other(getattr(LOCAL_SETTINGS, name))})
    monkeypatch.setattr(plan, "LOCAL_SETTINGS", changed)
    assert _missing(complete) == ALL_SEARCHES


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_data_show_no_old_result(
    complete: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, split: str
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(reviews_path(split).read_bytes() + b"\n")
    monkeypatch.setattr(plan, "reviews_path", lambda name: other if name == split else reviews_path(name))
    assert _missing(complete) == ALL_SEARCHES


def test_loading_reads_each_data_file_once(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def note(split: str) -> Path:
        read.append(split)
        return reviews_path(split)

    monkeypatch.setattr(plan, "reviews_path", note)
    load(complete, SMALL)
    assert read == ["train", "test"]


def test_another_wording_shows_no_old_result(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = WORDINGS | {"chat": replace(WORDINGS["chat"], words=("no", "yes"))}
    monkeypatch.setattr(methods, "WORDINGS", changed)
    assert changed != hard_prompts.WORDINGS
    assert _missing(complete) == {"search-zero-shot-seed-0", "search-few-shot-seed-0"}


def test_code_that_computes_something_else_keeps_no_result_of_the_methods_concerned(store: Store) -> None:
    before = {method.name: {"margins": [1.0, 2.0]} for method in METHODS}
    store.keep_only(before, is_same)
    fill(store)
    after = before | {"lora-8": {"margins": [1.0, 2.1]}}
    again = Store.read(store.path, SMALL)
    again.keep_only(before, is_same)
    assert again.missing() == []
    again.keep_only(after, is_same)
    assert {job.name for job in again.missing()} == {"search-lora-8-seed-0"}
    fill(again)
    assert Store.read(store.path, SMALL).behaviour == after
    assert Store.read(store.path, SMALL).missing() == []


def test_another_title_keeps_the_results(complete: Path) -> None:
    changed = _with_method(SMALL, replace(SMALL.method("full"), title="all weights", learns_from_little=False))
    assert load(complete, changed).of("full").method.title == "all weights"


def test_missing_results_are_named_with_what_to_do(store: Store) -> None:
    def without(*names: str) -> Path:
        lines = store.path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line).get("job") not in names]
        store.path.write_text("".join(kept))
        return store.path

    with pytest.raises(LookupError, match=r"full-20-rows-seed-0\. .*`make compare`"):
        load(without("full-20-rows-seed-0"), SMALL)
    with pytest.raises(LookupError, match=r"zero-shot-20-rows-seed-0, .* and 7 more"):
        load(without(*(name for name in store.results if "-20-rows-" in name)), SMALL)
    with pytest.raises(LookupError, match="make compare"):
        load(store.path.parent / "nowhere", SMALL)


@pytest.mark.parametrize("damage", ["<<<<<<< ours", "[]", '{"job": "full-20-rows-seed-0"}'])
def test_a_damaged_line_is_named_with_what_to_do(store: Store, damage: str) -> None:
    lines = store.path.read_text().splitlines()
    lines.insert(20, damage)
    store.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"Line 21 of .*results\.jsonl is no result\. .*`make compare`"):
        load(store.path, SMALL)


def test_a_result_is_kept_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = SMALL.searches()[0]
    before = store.path.read_bytes()

    def full_disk(path: Path, text: str, encoding: str) -> None:
        with path.open("w", encoding=encoding) as file:
            file.write(text[:20])
        raise OSError("No space left on device")

    other = {"scores": [], "chosen": {"wording": "chat", "examples": 0}}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            store.put(job, other)
    assert store.path.read_bytes() == before
    store.put(job, other)
    assert (Store.read(store.path, SMALL).get(job) or {})["chosen"] == other["chosen"]
    assert [path.name for path in store.path.parent.iterdir()] == ["results.jsonl"]


def test_a_complete_set_is_loaded_in_the_plans_order(tmp_path: Path) -> None:
    small = replace(SMALL, rows=(20, 40), seeds=(0, 1, 2))
    store = Store.read(tmp_path / "results.jsonl", small)
    fill(store)
    comparison = load(store.path, small)
    expected = [(method.name, rows) for method in METHODS for rows in small.rows_of(method)]
    assert [(found.method.name, found.rows) for found in comparison.measured] == expected
    assert comparison.of("full").rows == 40
    assert comparison.of("full", 20).rows == 20
    assert comparison.opened == {"accuracy": 0.5, "tokens": []}
    assert comparison.machines == ((Machine("One", 1), 3 * len(expected)),)
    full = comparison.of("full")
    assert full.chosen == (0.00003,) * 3
    assert full.tuning_seconds == pytest.approx(2.0)  # of 1, 2 and 3
    assert len(full.hits) == 3
    assert full.accuracy == pytest.approx(np.mean(full.hits))
    for found in comparison.measured:
        assert 0 <= found.accuracy_interval[0] <= found.accuracy <= found.accuracy_interval[1] <= 1
        assert 0 <= found.f1_interval[0] <= found.f1 <= found.f1_interval[1] <= 1


def test_times_are_of_the_machine_with_the_most_results(tmp_path: Path) -> None:
    small = replace(SMALL, seeds=(0, 1, 2))
    store = Store.read(tmp_path / "results.jsonl", small)
    fill(store)
    other = {"machine": {"cpu": "Two", "threads": 1}}
    for name in ("lora-8-20-rows-seed-2", *(f"full-20-rows-seed-{seed}" for seed in small.seeds)):
        store.results[name] |= other
    search = small.searches()[0]
    store.put(search, store.results[search.name])  # writes them all
    comparison = load(store.path, small)
    assert comparison.machines == ((Machine("One", 1), 26), (Machine("Two", 1), 4))
    assert comparison.of("lora-8").tuning_seconds == pytest.approx(1.5)  # of 1 and 2, without 3
    assert (comparison.of("full").tuning_seconds, comparison.of("full").scoring_ms) == (None, None)
    assert comparison.of("full").peak_memory_mb == 100.0
    assert len(comparison.of("full").hits) == 3


def test_a_candidate_that_diverged_is_loaded_as_the_worst(store: Store) -> None:
    method = SMALL.method("lora-8")
    scores = [Score(0.001, 0.8, 0.5), Score(0.003, 0.9, 0.4), Score.of_diverged(0.01)]
    store.put(Search(method, 0), {"scores": [score.as_json() for score in scores], "chosen": 0.003})
    (found,) = (found for found in load(store.path, SMALL).searched if found.method == method)
    assert found.scores == tuple(scores)
    assert (found.scores[2].accuracy, found.scores[2].loss) == (0.0, math.inf)


def test_the_stored_results_are_those_of_the_plan_in_force() -> None:
    assert _missing(RESULTS, FULL) == set()
