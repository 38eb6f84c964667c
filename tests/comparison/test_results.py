"""Stored results: what is kept, when it counts, and what the seeds of a method give together."""

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comparison import hard_prompts, methods, plan
from comparison.behaviour import is_same
from comparison.hard_prompts import WORDINGS
from comparison.methods import METHODS, Method, PromptTuning, Recipe
from comparison.plan import DATA, FULL, SMALL, AnsweringCost, Job, Measurement, Opening, Plan, Trial, TuningCost
from comparison.results import Machine, load, read_reviews
from comparison.search import DIVERGED, Score
from comparison.store import Store
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS

RESULTS = Path(__file__).parents[2] / "notebooks" / "comparison" / "results.jsonl"
OF_RESULTS = {"virtual_tokens", "init_method"}  # all else stands in a job's candidate, or only says what is tried
MACHINE = {"machine": {"cpu": "One", "threads": 1, "device": "cpu", "numbers": "float32"}}


def fill(store: Store) -> None:
    """Make up a result for each job of a store's plan."""
    generator = np.random.default_rng(0)
    for method in store.plan.methods:
        store.behaviour.setdefault(method.name, {})
    for kind in (store.accuracy_jobs, store.cost_jobs):
        while jobs := store.missing(kind):
            for job in jobs:
                store.put(job, _made_up(store.plan, job, generator))


def _made_up(what: Plan, job: Job, generator: np.random.Generator) -> dict[str, Any]:
    if isinstance(job, Trial):
        return {"accuracy": 0.5, "loss": 0.7, "written": 0.25} | MACHINE
    if isinstance(job, Measurement):
        margins = generator.normal(size=what.test_rows).round(4).tolist()
        return {"margins": margins, "written": "".join(generator.choice(list("01-"), what.test_rows))} | MACHINE
    if isinstance(job, TuningCost):
        tuning = {"update_seconds": [1.0, 3.0], "updates": 10, "trained_parameters": 7, "peak_memory_mb": 200.0}
        return tuning | MACHINE
    if isinstance(job, AnsweringCost):
        return {"review_seconds": [0.1, 0.3], "saved_bytes": 9, "peak_memory_mb": 100.0} | MACHINE
    assert isinstance(job, Opening)
    return {"accuracy": 0.5, "tokens": []} | MACHINE


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


def _missing(path: Path, what: Plan = SMALL) -> list[Job]:
    store = Store.read(path, what)
    return store.missing(store.accuracy_jobs) + store.missing(store.cost_jobs)


def _methods_missing(path: Path, what: Plan = SMALL) -> set[str]:
    return {job.method.name for job in _missing(path, what)}


def _with_method(what: Plan, changed: Method) -> Plan:
    return replace(what, methods=tuple(changed if method.name == changed.name else method for method in what.methods))


def _other(value: object) -> Any:
    if isinstance(value, int):
        return value + 1
    return f"{value}x" if isinstance(value, str) else value[:-1]  # type: ignore[index]


SEARCHED = {method.name for method in METHODS if not method.searched_as}


def test_nothing_is_missing_from_a_complete_set(complete: Path) -> None:
    assert _missing(complete) == []
    found = Store.read(complete, SMALL)
    kinds = [result["kind"] for result in found.results.values()]
    assert kinds.count("measurement") == kinds.count("cost of answering") == len(METHODS)
    assert kinds.count("cost of tuning") == sum(method.is_tuned for method in METHODS)
    assert kinds.count("opening") == 1
    assert found.expected(found.accuracy_jobs) == []


def test_what_is_read_is_what_was_put(complete: Path, store: Store) -> None:
    job = next(store.trials())
    store.put(job, store.results[job.name])
    assert store.path.read_bytes() == complete.read_bytes()
    assert Store.read(store.path, SMALL) == store


def test_settings_are_written_once_and_each_result_is_a_line(complete: Path) -> None:
    first, *lines = [json.loads(line) for line in complete.read_text().splitlines()]
    assert first == {"plan": SMALL.settings()}
    assert [line["method"] for line in lines[: len(METHODS)]] == [method.name for method in METHODS]
    names = [line["job"] for line in lines[len(METHODS) :]]
    assert names == sorted(names)
    assert len(names) == len(Store.read(complete, SMALL).results)


def test_measurements_wait_for_their_search(tmp_path: Path) -> None:
    missing = _missing(tmp_path / "nowhere")
    assert {type(job) for job in missing} == {Trial}
    assert {job.method.name for job in missing} == SEARCHED


def test_what_is_expected_holds_the_jobs_that_wait(complete: Path, tmp_path: Path) -> None:
    store = Store.read(tmp_path / "nowhere", SMALL)
    expected = store.expected(store.accuracy_jobs) + store.expected(store.cost_jobs)
    assert {job.name for job in expected} == set(Store.read(complete, SMALL).results)  # where all score the same
    assert len({job.name for job in expected}) == len(expected)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(PromptTuning)])
def test_a_changed_method_shows_no_old_result_and_leaves_the_others_theirs(complete: Path, field: str) -> None:
    method = SMALL.method("prompt-20")
    if field in OF_RESULTS:
        changed = _with_method(SMALL, replace(method, **{field: _other(getattr(method, field))}))
        assert _methods_missing(complete, changed) == {"prompt-20"}
        assert {type(job) for job in _missing(complete, changed)} == {Trial}  # what is measured waits for them
    else:
        assert field not in method.settings()


@pytest.mark.parametrize("name", ["prompt-20", "lora-8", "starting-text"])
def test_another_template_shows_no_old_result(complete: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(methods, "TEMPLATES", methods.TEMPLATES | {"feels": "{{input}}I feel "})
    assert name in _methods_missing(complete) | {"starting-text"}
    assert not {"zero-shot", "few-shot", "tf-idf"} & _methods_missing(complete)


def test_another_choice_of_the_search_is_measured_anew(store: Store) -> None:
    method = SMALL.method("prompt-100")
    other = next(job for job in store.trials() if job.method == method and "template none" in job.name)
    store.put(other, {"accuracy": 0.9, "loss": 0.1, "written": 0.9} | MACHINE)
    missing = _missing(store.path)
    assert {(type(job), job.method.name) for job in missing} == {
        (Measurement, "prompt-100"),
        (Measurement, "starting-text"),
        (TuningCost, "prompt-100"),
        (AnsweringCost, "prompt-100"),
        (AnsweringCost, "starting-text"),
    }
    assert {job.candidate for job in missing} == {other.candidate}


@pytest.mark.parametrize("field", ["model", "held_back", "test_rows", "opened_rows"])
def test_a_changed_plan_shows_no_old_result(complete: Path, field: str) -> None:
    changed = replace(SMALL, **{field: _other(getattr(SMALL, field))})
    assert Store.read(complete, changed).results == {}


def test_another_soft_prompt_to_open_is_opened(complete: Path) -> None:
    (job,) = _missing(complete, replace(SMALL, opened="prompt-100"))
    assert (type(job), job.method.name) == (Opening, "prompt-100")


@pytest.mark.parametrize("name", ["batch_size", "init_text"])
def test_another_default_of_the_lesson_shows_no_old_result(
    complete: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed = replace(LOCAL_SETTINGS, **{name: _other(getattr(LOCAL_SETTINGS, name))})
    monkeypatch.setattr(plan, "LOCAL_SETTINGS", changed)
    assert _methods_missing(complete) == SEARCHED


@pytest.mark.parametrize("name", plan.data_files())
def test_other_data_show_no_old_result(
    complete: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for file in plan.data_files():
        shutil.copy(DATA / file, tmp_path)
    monkeypatch.setattr(plan, "DATA", tmp_path)
    assert _missing(complete) == []
    (tmp_path / name).write_bytes((DATA / name).read_bytes() + b"\n")
    assert _methods_missing(complete) == SEARCHED


def test_another_wording_shows_no_old_result(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = WORDINGS | {"chat": replace(WORDINGS["chat"], words=("no", "yes"))}
    monkeypatch.setattr(methods, "WORDINGS", changed)
    assert changed != hard_prompts.WORDINGS
    assert _methods_missing(complete) == {"zero-shot", "few-shot"}


def test_code_that_computes_something_else_keeps_no_result_of_the_methods_concerned(store: Store) -> None:
    before = {method.name: {"margins": [1.0, 2.0]} for method in METHODS}
    assert store.keep_only(before, is_same) == set(before)
    fill(store)
    after = before | {"lora-8": {"margins": [1.0, 2.1]}}
    again = Store.read(store.path, SMALL)
    assert again.keep_only(before, is_same) == set()
    assert again.missing(again.accuracy_jobs) == []
    assert again.keep_only(after, is_same) == {"lora-8"}
    assert {job.method.name for job in again.missing(again.accuracy_jobs)} == {"lora-8"}
    fill(again)
    assert Store.read(store.path, SMALL).behaviour == after
    assert _missing(store.path) == []


def test_another_title_keeps_the_results(complete: Path) -> None:
    changed = _with_method(SMALL, replace(SMALL.method("full"), title="all weights", learns_from_little=False))
    assert load(complete, changed).of("full").method.title == "all weights"


def test_missing_results_are_named_with_what_to_do(store: Store) -> None:
    def without(*names: str) -> Path:
        lines = store.path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line).get("job") not in names]
        store.path.write_text("".join(kept))
        return store.path

    measured = [name for name in store.results if name.startswith("measurement")]
    (full,) = (name for name in measured if ": full," in name)
    with pytest.raises(LookupError, match=r"measurement: full, 16 rows, .*`make compare`"):
        load(without(full), SMALL)
    with pytest.raises(LookupError, match=f"measurement: .*; and {len(measured) - 3} more"):
        load(without(*measured), SMALL)
    with pytest.raises(LookupError, match="make compare"):
        load(store.path.parent / "nowhere", SMALL)


@pytest.mark.parametrize("damage", ["<<<<<<< ours", "[]", '{"job": "trial"}'])
def test_a_damaged_line_is_named_with_what_to_do(store: Store, damage: str) -> None:
    lines = store.path.read_text().splitlines()
    lines.insert(20, damage)
    store.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"Line 21 of .*results\.jsonl is no result\. .*`make compare`"):
        load(store.path, SMALL)


def test_a_result_is_kept_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = next(store.trials())
    before = store.path.read_bytes()

    def full_disk(path: Path, text: str, encoding: str) -> None:
        with path.open("w", encoding=encoding) as file:
            file.write(text[:20])
        raise OSError("No space left on device")

    other = {"accuracy": 1.0, "loss": 0.0, "written": 1.0}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            store.put(job, other)
    assert store.path.read_bytes() == before
    store.put(job, other)
    assert Store.read(store.path, SMALL).score(job) == Score(1.0, 0.0, 1.0)
    assert [path.name for path in store.path.parent.iterdir()] == ["results.jsonl"]


def test_a_complete_set_is_loaded_in_the_plans_order(tmp_path: Path) -> None:
    small = replace(SMALL, rows=(16, 40), seeds=(0, 1, 2))
    store = Store.read(tmp_path / "results.jsonl", small)
    fill(store)
    comparison = load(store.path, small)
    expected = [(method.name, rows) for method in METHODS for rows in small.rows_of(method)]
    assert [(found.method.name, found.rows) for found in comparison.measured] == expected
    assert comparison.of("full").rows == 40
    assert comparison.of("full", 16).rows == 16
    assert comparison.of("full", 16).cost is None
    assert comparison.opened.items() >= {"accuracy": 0.5, "tokens": []}.items()
    one = Machine("One", 1, "cpu", "float32")
    assert comparison.machines == ((one, len(list(store.measurements()))),)
    assert comparison.timed_on == ((one, len(METHODS) + sum(method.is_tuned for method in METHODS)),)
    full, cost = comparison.of("full"), comparison.cost("full")
    assert full.chosen == (small.method("full").start(40),) * 3  # where all score the same
    assert [cost.tuning_seconds, cost.tuning_memory_mb] == pytest.approx([2.0 * 10, 200.0])
    assert [cost.scoring_ms, cost.answering_memory_mb] == pytest.approx([200.0, 100.0])
    assert (cost.trained_parameters, cost.saved_bytes, comparison.base_parameters) == (7, 9, 7)
    free = comparison.cost("few-shot")
    assert (free.tuning_seconds, free.tuning_memory_mb, free.trained_parameters) == (0.0, None, 0)
    for found in comparison.measured:
        # One that is the same for all seeds counts as often as the others, so that pairs can be made.
        assert len(found.hits) == len(found.written) == len(found.written_hits) == len(found.chosen) == 3
        assert {len(hits) for hits in (*found.hits, *found.written_hits)} == {12}
        assert found.accuracy == pytest.approx(np.mean(found.hits))
        assert found.written_accuracy == pytest.approx(np.mean(found.written_hits))
        assert 0 <= found.accuracy_interval[0] <= found.accuracy <= found.accuracy_interval[1] <= 1
        assert 0 <= found.written_interval[0] <= found.written_accuracy <= found.written_interval[1] <= 1
        assert 0 <= found.f1_interval[0] <= found.f1 <= found.f1_interval[1] <= 1


def test_hits_are_answers_that_are_the_label_of_their_review(store: Store) -> None:
    comparison = load(store.path, SMALL)
    job = next(job for job in store.measurements() if job.method.name == "full")
    result, found = store.results[job.name], comparison.of("full")
    truth = [review["output"] for review in comparison.reviews]
    assert list(found.hits[0]) == [
        (margin > 0) == (label == "1") for margin, label in zip(result["margins"], truth, strict=True)
    ]
    assert found.written == (result["written"],)
    assert list(found.written_hits[0]) == [said == label for said, label in zip(result["written"], truth, strict=True)]


def test_the_reviews_say_where_they_are_from_and_what_makes_them_hard() -> None:
    reviews = read_reviews(FULL)
    assert [review["file"] for review in reviews] == [plan.TEST_FILES[0]] * 120 + [plan.TEST_FILES[1]] * 600
    assert len({review["phenomenon"] for review in reviews}) == 7


def test_a_candidate_that_diverged_is_the_worst(store: Store) -> None:
    job = next(job for job in store.trials() if job.method.name == "lora-8")
    store.put(job, {"diverged": True} | MACHINE)
    fill(store)
    (found,) = (found for found in load(store.path, SMALL).searched if found.method.name == "lora-8")
    assert found.scores[job.candidate] == DIVERGED
    assert isinstance(found.chosen, Recipe)
    assert found.chosen != job.candidate


def test_the_stored_results_are_those_of_the_plan_in_force() -> None:
    assert _missing(RESULTS, FULL) == []
