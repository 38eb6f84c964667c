"""Which stored results of the controls count, and what is said of those that do not."""

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comparison.controls import plan
from comparison.controls.__main__ import describe
from comparison.controls.kinds import KINDS
from comparison.controls.plan import SEARCHED, Plan, plan_of
from comparison.controls.results import CONTROLS, RESULTS, load_controls
from comparison.controls.store import ControlStore
from comparison.methods import Recipe
from comparison.plan import DATA, data_files

from .made_up_controls import PLAN, fill


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up results; not to be written to."""
    return fill(tmp_path_factory.mktemp("complete") / "controls.jsonl")


def kinds_missing(path: Path, changed: Plan) -> set[str]:
    return {job.kind for job in ControlStore.read(path, changed).expected()}


def test_what_is_read_is_what_was_put(complete: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copy(complete, tmp_path))
    store = ControlStore.read(copied, PLAN)
    assert store.expected() == store.missing() == []
    store.put(PLAN.jobs[0], store.results[PLAN.jobs[0].name])
    assert copied.read_bytes() == complete.read_bytes()
    lines = [json.loads(line) for line in copied.read_text().splitlines()]
    assert [line["kind"] for line in lines[: len(KINDS)]] == [kind.kind for kind in KINDS]
    assert [line["job"] for line in lines[len(KINDS) :]] == [job.name for job in PLAN.jobs]


EVERYTHING = {kind.kind for kind in KINDS}
CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"recipe": Recipe(0.02, 4)}, EVERYTHING),
    ({"recipe": Recipe(0.02, 3, "none")}, EVERYTHING),
    ({"model": "another"}, EVERYTHING),
    ({"virtual_tokens": 10}, EVERYTHING),
    ({"rows": 80}, EVERYTHING),
    ({"every": 2}, {"variant", "line", "attention"}),
    ({"draws": 5}, {"variant", "geometry"}),
    ({"reaches": (1, 2)}, {"geometry"}),
    ({"steps": (0.5,)}, {"line"}),
    ({"attention_reviews": 30}, {"attention"}),
    ({"tickets": replace(plan.TICKETS, num_epochs=4)}, {"transfer"}),
    ({"ticket_rows": 50}, {"transfer"}),
    ({"seeds": (0, 1, 2, 3, 4, 5)}, {"tuning", "variant", "geometry", "attention", "cosines"}),
    ({"lines": 4}, {"line"}),
    ({"transfer_seeds": 4}, {"transfer"}),
    ({"recipe_from": SEARCHED, "cache": Path("elsewhere")}, set()),
]


@pytest.mark.parametrize(("change", "missing"), CHANGES, ids=[", ".join(change) for change, _ in CHANGES])
def test_what_other_settings_made_is_refused(complete: Path, change: dict[str, Any], missing: set[str]) -> None:
    changed = replace(PLAN, **change)
    assert kinds_missing(complete, changed) == missing
    if missing:
        with pytest.raises(LookupError, match=r"made with other settings: .*make compare"):
            load_controls(complete, changed)


def test_every_setting_is_among_those_that_are_tried() -> None:
    fields = {field.name for field in dataclasses.fields(Plan)}
    assert fields == {name for change, _ in CHANGES for name in change}


@pytest.mark.parametrize("name", data_files())
def test_other_reviews_show_no_old_result(
    complete: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for file in (*data_files(), *plan.TICKET_FILES):
        shutil.copy(DATA / file, tmp_path)
    monkeypatch.setattr(plan, "DATA", tmp_path)
    assert kinds_missing(complete, PLAN) == set()
    (tmp_path / name).write_bytes((DATA / name).read_bytes() + b"\n")
    assert kinds_missing(complete, PLAN) == EVERYTHING


def test_other_tickets_show_no_old_transfer(complete: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in (*data_files(), *plan.TICKET_FILES):
        shutil.copy(DATA / file, tmp_path)
    monkeypatch.setattr(plan, "DATA", tmp_path)
    (tmp_path / plan.TICKET_FILES[1]).write_bytes((DATA / plan.TICKET_FILES[1]).read_bytes() + b"\n")
    assert kinds_missing(complete, PLAN) == {"transfer"}


def test_results_of_other_code_are_dropped(complete: Path) -> None:
    store = ControlStore.read(complete, PLAN)
    now: dict[str, Any] = {kind: {"numbers": []} for kind in EVERYTHING} | {"line": {"numbers": [1.0]}}
    assert store.keep_only(now, lambda one, other: one == other) == {"line"}
    assert {job.kind for job in store.expected()} == {"line"}


def test_a_job_waits_for_the_soft_prompt_that_it_needs(complete: Path, tmp_path: Path) -> None:
    store = ControlStore.read(tmp_path / "nowhere", PLAN)
    waiting_for_nothing = {job.name for job in store.missing()}
    assert "variant: start, seed 0" in waiting_for_nothing
    assert "transfer: solved tickets, seed 0" in waiting_for_nothing
    assert not any(name.startswith(("geometry", "line", "cosines", "attention")) for name in waiting_for_nothing)
    store.results["tuning: seed 1"] = {}
    assert "geometry: seed 1" in {job.name for job in store.missing()} - waiting_for_nothing


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("variant: tuned, seed 0", {"scores": []}),
        ("variant: tuned, seed 0", {"scores": [{"accuracy": 0.9, "loss": 0.1, "hits": "1"}]}),
        ("variant: tuned, seed 0", {"scores": [{"accuracy": 0.25, "loss": 0.1, "hits": "1" * 240}]}),
        ("variant: tuned, seed 0", {"scores": [{"accuracy": 1.0, "loss": -0.1, "hits": "1" * 240}]}),
        ("geometry: seed 0", {"tokens": []}),
        ("geometry: seed 0", {"tokens": [{"word": "a"}]}),
        ("cosines: seeds 0, 1, 2, 3, 4", {"cosines": [1.5] * 10}),
        ("cosines: seeds 0, 1, 2, 3, 4", {"cosines": [0.5]}),
        ("attention: seed 0", {"tuned": [[0.2] * 20]}),
        ("attention: seed 0", {"tuned": [[0.01] * 19]}),
        ("transfer: solved tickets, seed 0", {"scores": None}),
    ],
)
def test_a_damaged_result_is_named(complete: Path, tmp_path: Path, name: str, spoil: dict[str, Any]) -> None:
    store = ControlStore.read(complete, PLAN)
    store.path = tmp_path / "controls.jsonl"
    job = next(job for job in PLAN.jobs if job.name == name)
    store.put(job, store.results[name] | spoil)
    with pytest.raises(ValueError, match=f"“{name}” in .* is damaged"):
        load_controls(store.path, PLAN)


def test_a_damaged_line_is_named(complete: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "controls.jsonl"
    damaged.write_text(complete.read_text().replace('{"job": "cosines', '{"job'))
    with pytest.raises(ValueError, match=r"Line .* is no result"):
        load_controls(damaged, PLAN)


def test_the_plan_says_what_is_left(complete: Path, tmp_path: Path) -> None:
    said = describe(ControlStore.read(tmp_path / "none", PLAN))
    assert "learning rate 0.02, 3 passes, template feels (the lesson's settings)" in said
    assert "variant: 36 jobs" in said
    assert "600 updates on reviews, 1,368 on tickets, 25,680 answers" in said
    assert "0 updates on reviews, 0 on tickets, 0 answers" in describe(ControlStore.read(complete, PLAN))


def test_the_stored_results_are_those_of_the_plan_in_force() -> None:
    assert kinds_missing(CONTROLS, plan_of(RESULTS)) == set()
