"""Stored results: what is kept, when it counts, and the scores and intervals that come of it."""

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from comparison import plan, results
from comparison.hard_prompts import WORDINGS
from comparison.plan import FULL, METHODS, SMALL, Job, Method, Plan
from comparison.results import Store, interval, load, missing
from prompt_tuning_helpers.datasets import reviews_path
from prompt_tuning_helpers.engine.defaults import default_settings


def fill(what: Plan, store: Store) -> None:
    """Make up a result for each job of a plan."""
    generator = np.random.default_rng(0)
    while jobs := missing(what, store):
        for job in jobs:
            store.put(job, _made_up(job, generator))


def _made_up(job: Job, generator: np.random.Generator) -> dict[str, Any]:
    if job.settings["task"] == "search":
        return {"scores": {}, "chosen": job.settings["method"]["candidates"][1]}
    labels = generator.integers(0, 2, (2, job.settings["test_rows"]))
    numbers = {"scoring_ms": 2.0, "tuning_seconds": 1.0 + job.settings["seed"], "peak_memory_mb": 100.0}
    opened = {"opened": {"accuracy": 0.5, "tokens": []}} if job.settings["opened"] else {}
    answers, truth = ("".join(map(str, row)) for row in labels)
    return {"answers": answers, "truth": truth, "trained_parameters": 7, "saved_bytes": 9, **numbers, **opened}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Made-up results of the small plan; not to be written to."""
    store = Store(tmp_path_factory.mktemp("complete"))
    fill(SMALL, store)
    return store


@pytest.fixture
def store(complete: Store, tmp_path: Path) -> Store:
    """The same, to write to."""
    return Store(Path(shutil.copytree(complete.folder, tmp_path / "results")))


def _names(jobs: list[Job]) -> set[str]:
    return {job.name for job in jobs}


def _with_method(what: Plan, changed: Method) -> Plan:
    methods = tuple(changed if method.name == changed.name else method for method in what.methods)
    return replace(what, methods=methods)


def _other(value: object) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}x" if isinstance(value, str) else value[:-1]  # type: ignore[index]


def test_nothing_is_missing_from_a_complete_set(complete: Store) -> None:
    assert missing(SMALL, complete) == []
    assert len(list(complete.folder.iterdir())) == 18  # 8 searches, 10 measurements


def test_measurements_wait_for_their_search(tmp_path: Path) -> None:
    assert _names(missing(SMALL, Store(tmp_path))) == _names(plan.searches(SMALL))


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Method) if field.name not in ("name", "title", "searched_as")]
)
def test_a_changed_method_shows_no_old_result_and_leaves_the_others_theirs(complete: Store, field: str) -> None:
    method = SMALL.method("prompt-50")
    changed = _with_method(SMALL, replace(method, **{field: _other(getattr(method, field))}))
    assert _names(missing(changed, complete)) == {"search-prompt-50-seed-0"}  # the measurements wait for it
    measured = plan.measurement(changed, changed.method("prompt-50"), 20, 0, method.candidates[1])
    assert complete.get(measured) is None


def test_another_choice_of_the_search_shows_no_old_result(store: Store) -> None:
    search = plan.search_of(SMALL, SMALL.method("prompt-50"), 0)
    store.put(search, {"scores": {}, "chosen": "0.04"})
    assert _names(missing(SMALL, store)) == {f"prompt-{tokens}-20-rows-seed-0" for tokens in (20, 50, 100)}


@pytest.mark.parametrize("field", ["model", "search_rows", "test_rows"])
def test_a_changed_plan_shows_no_old_result(complete: Store, field: str) -> None:
    changed = replace(SMALL, **{field: _other(getattr(SMALL, field))})
    assert _names(missing(changed, complete)) == _names(plan.searches(SMALL))
    # Nor where a search has been repeated and chose the same.
    for method in changed.methods:
        chosen = (complete.get(plan.search_of(SMALL, method, 0)) or {})["chosen"]
        assert complete.get(plan.measurement(changed, method, 20, 0, chosen)) is None


@pytest.mark.parametrize("name", ["batch_size", "init_text", "max_input_tokens", "verbalizer"])
def test_another_default_of_the_lesson_shows_no_old_result(
    complete: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    default = default_settings(FULL.model)
    changed = replace(default, **{name: _other(getattr(default, name))})
    monkeypatch.setattr(plan, "default_settings", lambda source: changed)
    assert _names(missing(SMALL, complete)) == _names(plan.searches(SMALL))


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_data_show_no_old_result(
    complete: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, split: str
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(reviews_path(split).read_bytes() + b"\n")
    monkeypatch.setattr(plan, "reviews_path", lambda name: other if name == split else reviews_path(name))
    assert _names(missing(SMALL, complete)) == _names(plan.searches(SMALL))


def test_another_wording_shows_no_old_result(complete: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = WORDINGS | {"chat": replace(WORDINGS["chat"], words=("no", "yes"))}
    monkeypatch.setattr(plan, "WORDINGS", changed)
    assert _names(missing(SMALL, complete)) == {"search-zero-shot-seed-0", "search-few-shot-seed-0"}


def test_another_recipe_shows_no_old_result(complete: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "RECIPE", plan.RECIPE + 1)
    assert _names(missing(SMALL, complete)) == _names(plan.searches(SMALL))


def test_another_title_keeps_the_results(complete: Store) -> None:
    changed = _with_method(SMALL, replace(SMALL.method("full"), title="all weights"))
    assert load(complete.folder, changed).of("full").method.title == "all weights"


def test_missing_results_are_named_with_what_to_do(store: Store) -> None:
    (store.folder / "full-20-rows-seed-0.json").unlink()
    with pytest.raises(LookupError, match=r"full-20-rows-seed-0\. .*`make compare`"):
        load(store.folder, SMALL)
    for path in store.folder.glob("*-20-rows-*.json"):
        path.unlink()
    with pytest.raises(LookupError, match=r"zero-shot-20-rows-seed-0, .* and 7 more"):
        load(store.folder, SMALL)
    with pytest.raises(LookupError, match="make compare"):
        load(store.folder / "nowhere", SMALL)


def test_a_result_is_kept_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = plan.searches(SMALL)[0]
    before = store.get(job)
    assert before is not None

    def full_disk(path: Path, text: str, encoding: str) -> None:
        with path.open("w", encoding=encoding) as file:
            file.write(text[:20])
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            store.put(job, {"chosen": "other"})
    assert store.get(job) == before
    assert missing(SMALL, store) == []
    store.put(job, {"chosen": "other"})
    assert store.get(job) == {"chosen": "other"}
    assert {path.suffix for path in store.folder.iterdir()} == {".json"}


def test_a_complete_set_is_loaded_in_the_plans_order(tmp_path: Path) -> None:
    small = replace(SMALL, rows=(20, 40), seeds=(0, 1, 2))
    fill(small, Store(tmp_path))
    comparison = load(tmp_path, small)
    expected = [(method.name, rows) for method in METHODS for rows in plan.rows_of(small, method)]
    assert [(found.method.name, found.rows) for found in comparison.measured] == expected
    assert comparison.of("full").rows == 40
    assert comparison.of("full", 20).rows == 20
    assert comparison.opened == {"accuracy": 0.5, "tokens": []}
    full = comparison.of("full")
    assert full.chosen == ("0.00003",) * 3
    assert full.tuning_seconds == pytest.approx(2.0)  # of 1, 2 and 3
    assert len(full.accuracies) == 3
    assert full.accuracy == pytest.approx(np.mean(full.accuracies))
    for found in comparison.measured:
        assert 0 <= found.accuracy_interval[0] <= found.accuracy <= found.accuracy_interval[1] <= 1
        assert 0 <= found.f1_interval[0] <= found.f1 <= found.f1_interval[1] <= 1


def test_the_stored_results_are_those_of_the_plan_in_force() -> None:
    stored = Store(Path(__file__).parents[2] / "notebooks" / "comparison_results")
    assert [job.name for job in missing(FULL, stored)] == []


@st.composite
def _labels(draw: Any) -> tuple[Any, Any]:
    """What is right and what was said, for some seeds and reviews."""
    seeds, reviews = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    labels = st.lists(st.lists(st.booleans(), min_size=reviews, max_size=reviews), min_size=seeds, max_size=seeds)
    return np.array(draw(labels)), np.array(draw(labels))


@given(_labels())
def test_accuracy_and_f1_are_those_of_scikit_learn(labels: tuple[Any, Any]) -> None:
    right, said = labels
    pairs = list(zip(right, said, strict=True))
    assert results._accuracy(right, said) == pytest.approx(np.mean([accuracy_score(*pair) for pair in pairs]))
    f1 = np.mean([f1_score(*pair, zero_division=0.0) for pair in pairs])
    assert results._f1(right, said) == pytest.approx(f1)


@hypothesis_settings(max_examples=20, deadline=None)
@given(_labels())
def test_an_interval_holds_the_mean(labels: tuple[Any, Any]) -> None:
    low, high = interval(results._accuracy, *labels)
    assert 0 <= low <= results._accuracy(*labels) <= high <= 1


def _answers(*accuracies: float, reviews: int = 120) -> tuple[Any, Any]:
    """Half of the reviews positive, and as many answers right as each seed is to have."""
    right = np.tile(np.arange(reviews) % 2 == 0, (len(accuracies), 1))
    wrong = np.array([np.arange(reviews) >= round(accuracy * reviews) for accuracy in accuracies])
    return right, right ^ wrong


def _width(score: Any, *accuracies: float, reviews: int = 120) -> float:
    low, high = interval(score, *_answers(*accuracies, reviews=reviews))
    return high - low


def test_an_interval_is_the_same_each_time() -> None:
    answers = _answers(0.8, 0.9, 0.7)
    assert interval(results._f1, *answers) == interval(results._f1, *answers)


@pytest.mark.parametrize("score", [results._accuracy, results._f1])
def test_fewer_reviews_and_seeds_further_apart_make_an_interval_wider(score: Any) -> None:
    assert _width(score, 0.8, 0.8, 0.8, reviews=30) > 1.5 * _width(score, 0.8, 0.8, 0.8)
    assert _width(score, 0.6, 0.8, 1.0) > 1.5 * _width(score, 0.8, 0.8, 0.8)
    assert _width(score, 1.0, 1.0, 1.0) == 0


def test_with_one_seed_an_interval_is_the_usual_one_of_a_share() -> None:
    # 1.96 standard errors on either side.
    assert _width(results._accuracy, 0.8) == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 120) ** 0.5, rel=0.1)
