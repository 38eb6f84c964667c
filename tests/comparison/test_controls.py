"""The controls of soft prompts: what they compute, on a small model."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from comparison import jobs as comparison_jobs
from comparison.behaviour import is_same, small_network
from comparison.controls import findings, jobs, plan, soft_prompts
from comparison.controls.__main__ import compute
from comparison.controls.kinds import (
    DRAWN,
    KINDS,
    VARIANTS,
    Attention,
    Cosines,
    Geometry,
    Line,
    Transfer,
    Tuning,
    Variant,
)
from comparison.controls.plan import LESSON, SEARCHED, Plan, plan_of
from comparison.controls.results import CONTROLS, RESULTS, load_controls
from comparison.controls.reviews import answers_of, asked_reviews, updates_of
from comparison.controls.soft_prompts import Asked, Tuned, ask_about, review_settings, tuned_prompt
from comparison.controls.store import ControlStore
from comparison.methods import PromptTuning, Recipe
from comparison.networks import BaseModel
from comparison.plan import DATA, FULL, SMALL, TEST_FILES, Measurement
from comparison.pool import run_jobs
from comparison.store import Store
from comparison.training import SoftPromptClassifier, prepare
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.tune import tune
from prompt_tuning_helpers.lesson import INIT_TEXT, LOCAL_SETTINGS

from .made_up_controls import PLAN
from .test_results import fill as fill_comparison

shapes = st.tuples(st.integers(2, 8), st.integers(2, 32))
seeds = st.integers(0, 999)


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- what is drawn ---


@settings(deadline=None)
@given(shapes, seeds)
def test_a_random_move_is_as_long_for_each_token_and_goes_elsewhere(shape: tuple[int, int], seed: int) -> None:
    move = drawn(shape, seed)
    moved = findings.random_move(move, torch.Generator().manual_seed(seed + 1))
    torch.testing.assert_close(moved.norm(dim=1), move.norm(dim=1))
    assert not torch.allclose(moved, move)


@settings(deadline=None)
@given(shapes, seeds)
def test_what_is_dealt_out_is_the_same_in_another_order(shape: tuple[int, int], seed: int) -> None:
    rows = drawn(shape, seed)
    dealt = findings.dealt_out(rows, torch.Generator().manual_seed(seed))
    assert sorted(dealt.tolist()) == sorted(rows.tolist())
    assert not torch.equal(dealt, rows)


def test_variants_differ_from_the_tuned_soft_prompt_in_one_respect() -> None:
    prompt = Tuned(drawn((5, 8), 0), drawn((5, 8), 1))
    found = {name: findings.variants(prompt, name, seed=3, draws=2) for name in VARIANTS}
    assert {name: len(prompts) for name, prompts in found.items()} == {
        name: 2 if name in DRAWN else 1 for name in VARIANTS
    }
    (start,), (tuned,), (alone,) = found["start"], found["tuned"], found["moves alone"]
    assert torch.equal(start, prompt.start)
    assert torch.equal(tuned, prompt.end)
    torch.testing.assert_close(start + alone, tuned)
    torch.testing.assert_close(2 * found["half the way"][0], start + tuned)
    torch.testing.assert_close(found["half the way further"][0] - tuned, 0.5 * alone)
    for random in found["random direction"]:
        torch.testing.assert_close((random - start).norm(dim=1), alone.norm(dim=1))
    for dealt in found["other token's move"]:
        torch.testing.assert_close((dealt - start).norm(dim=1).sort()[0], alone.norm(dim=1).sort()[0])
    for shuffled in found["shuffled"]:
        assert sorted(shuffled.tolist()) == sorted(tuned.tolist())
    for name in DRAWN:
        assert not torch.equal(*found[name])
        assert torch.equal(found[name][0], findings.variants(prompt, name, seed=3, draws=1)[0])


# --- geometry and cosines ---


def test_a_random_move_leaves_the_cosine_that_geometry_predicts() -> None:
    words = drawn((300, 576), 0)
    start = words[:6]
    found = findings.geometry(Tuned(start, start + 0.9 * drawn((6, 576), 1)), words, 0, draws=20, reaches=(1, 50))
    for token in found["tokens"]:
        assert token["predicted"] == pytest.approx(1 / math.hypot(1, 0.9), abs=0.05)
        assert token["random cosine"] == pytest.approx(token["predicted"], abs=0.03)
        assert token["random rank"] == 1
    assert found["nearest"]["random"][0] == 1
    assert found["nearest"]["random"][1] < 0.2  # so far off, they are near no word


def test_who_moves_on_to_another_word_is_no_longer_nearest_to_its_own() -> None:
    words = 2 * torch.eye(4)
    prompt = Tuned(words[:2], torch.stack([words[0], words[3] + 0.5 * words[1]]))
    found = findings.geometry(prompt, words, 0, draws=1, reaches=(1,))
    first, second = found["tokens"]
    assert (first["token"], first["moved"], first["rank"]) == (0, 0, 1)
    assert first["cosine"] == first["predicted"] == 1
    assert (second["token"], second["rank"]) == (1, 2)
    assert second["moved"] == pytest.approx(math.hypot(1, 0.5))
    assert second["cosine"] < second["other"]
    assert found["nearest"]["tuned"] == [0.5]


@settings(deadline=None)
@given(st.lists(st.tuples(seeds, seeds), min_size=2, max_size=5), shapes)
def test_cosines_are_cosines(pairs: list[tuple[int, int]], shape: tuple[int, int]) -> None:
    prompts = [Tuned(drawn(shape, one), drawn(shape, 1000 + other)) for one, other in pairs]
    found = findings.cosines_between(prompts)
    assert len(found) == len(prompts) * (len(prompts) - 1) // 2
    assert all(-1 <= cosine <= 1 for cosine in found)
    assert findings.cosines_between([prompts[0], prompts[0]]) == pytest.approx([1])


# --- with a small model ---


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    with small_network() as model:
        yield jobs.small_plan(model, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def base(small: Plan) -> BaseModel:
    return BaseModel(small.model)


@pytest.fixture(scope="module")
def computed(small: Plan, tmp_path_factory: pytest.TempPathFactory) -> ControlStore:
    """All results of the small plan, truly computed; not to be written to."""
    store = ControlStore.read(tmp_path_factory.mktemp("computed") / "controls.jsonl", small)
    store.behaviour = {kind.kind: {} for kind in KINDS}
    with ThreadPoolExecutor(1) as pool:
        failed = run_jobs(
            store.missing, store.expected, lambda job: pool.submit(jobs.run, small, job), store.put, pool, 1
        )
    assert failed == {}
    return store


@pytest.fixture(scope="module")
def asked(small: Plan, base: BaseModel) -> Asked:
    return ask_about(asked_reviews(small), base, review_settings(small, 0))


def prompt_tuning(small: Plan) -> PromptTuning:
    method = FULL.method("prompt-20")
    assert isinstance(method, PromptTuning)
    return replace(method, virtual_tokens=small.virtual_tokens)


@pytest.mark.slow
def test_a_score_is_that_of_the_comparison_s_own_way_of_asking(small: Plan, base: BaseModel, asked: Asked) -> None:
    rows = asked_reviews(small)
    method = prompt_tuning(small)
    classifier = prepare(method, small.recipe, rows, base, 0)
    assert isinstance(classifier, SoftPromptClassifier)
    prompt = tuned_prompt(small, 0, base).end
    margins = [answer.margin for answer in classifier.answer_with(prompt, [row.input for row in rows])]
    signs = [1 if row.output == "1" else -1 for row in rows]
    found = asked.score(prompt)
    right = [sign * margin > 0 for sign, margin in zip(signs, margins, strict=True)]
    assert found["hits"] == "".join("01"[hit] for hit in right)
    assert found["accuracy"] == sum(right) / len(right)
    losses = [math.log1p(math.exp(-sign * margin)) for sign, margin in zip(signs, margins, strict=True)]
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


@pytest.mark.slow
def test_the_soft_prompts_are_those_that_the_comparison_measures(
    small: Plan, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = prompt_tuning(small)
    job = Measurement(method, small.rows, 1, small.recipe)
    classifier = comparison_jobs.classifier_of(FULL, job, base)
    assert isinstance(classifier, SoftPromptClassifier)
    found = tuned_prompt(small, 1, base)
    torch.testing.assert_close(found.end, classifier.soft_prompt)
    torch.testing.assert_close(found.start, classifier.initial)


@pytest.mark.slow
def test_a_soft_prompt_is_tuned_once_and_anew_with_another_recipe(
    small: Plan, base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned: list[Any] = []

    def noted(*given: Any) -> Tensor:
        tuned.append(given)
        return tune(*given)

    monkeypatch.setattr(soft_prompts, "tune", noted)
    here = replace(small, cache=tmp_path / "new")
    first = tuned_prompt(here, 0, base)
    again = tuned_prompt(here, 0, base)
    assert len(tuned) == 1
    assert torch.equal(first.end, again.end)
    jobs.run(here, Tuning(0))  # may follow a change of the code
    assert len(tuned) == 2
    other = tuned_prompt(replace(here, recipe=replace(here.recipe, epochs=1)), 0, base)
    assert len(tuned) == 3
    assert not torch.equal(first.end, other.end)
    assert not torch.equal(first.end, tuned_prompt(here, 1, base).end)
    assert {path.suffix for path in here.cache.iterdir()} == {".safetensors"}


@pytest.mark.slow
def test_from_a_soft_prompt_to_itself_nothing_changes(small: Plan, base: BaseModel, asked: Asked) -> None:
    prompt = tuned_prompt(small, 0, base)
    flat = findings.between(prompt, prompt, (0.25, 0.5, 0.75), asked)
    assert flat == [asked.score(prompt.end)] * 3
    other = tuned_prompt(small, 1, base)
    ends = findings.between(prompt, other, (0, 1), asked)
    assert [end["loss"] for end in ends] == pytest.approx([asked.score(each.end)["loss"] for each in (prompt, other)])


@pytest.mark.slow
def test_attention_is_a_share(small: Plan, base: BaseModel, asked: Asked) -> None:
    prompt = tuned_prompt(small, 0, base).end
    usual = base.network.config._attn_implementation
    with jobs._visible_attention(base):
        shares = findings.attention(prompt, base.forward, asked.data)
    assert base.network.config._attn_implementation == usual
    assert shares.shape == (2, small.virtual_tokens)
    assert shares.min() > 0
    assert shares.sum(1).max() < 1
    with jobs._visible_attention(base):  # where nothing else stands before the token that looks, it gets all
        alone = replace(asked.data, shared=[], rows=[([5], [5])])
        everything = findings.attention(prompt, base.forward, alone)
    assert everything.sum(1).max() < 1
    assert everything.sum() > shares.sum()


@pytest.mark.slow
def test_transfer_is_scored_before_tuning_and_after_each_pass(small: Plan, base: BaseModel) -> None:
    settings = replace(small.tickets, num_epochs=3, num_virtual_tokens=small.virtual_tokens)
    rows = read_rows(DATA / plan.TICKET_FILES[0])[:16]
    data = encode_rows(rows, base.tokenizer, settings)
    held_back = ask_about(rows, base, settings)
    start = tuned_prompt(small, 0, base).end
    scores = findings.transfer(start, data, settings, held_back)
    assert len(scores) == 4
    assert scores[0] == held_back.score(start)
    assert scores[-1]["loss"] < scores[0]["loss"]


def test_labels_that_begin_alike_are_refused(base: BaseModel, small: Plan) -> None:
    rows = [TrainingRow("Hello", "how_to"), TrainingRow("Hello", "how_much")]
    with pytest.raises(ValueError, match="begin with the same token"):
        ask_about(rows, base, small.tickets)


def test_rows_that_are_too_long_are_refused(base: BaseModel, small: Plan) -> None:
    rows = [TrainingRow("Hello " * 600, "sales"), TrainingRow("Hello", "bugs")]
    with pytest.raises(ValueError, match="1 rows have more than 512 tokens"):
        ask_about(rows, base, small.tickets)


@pytest.mark.slow
def test_all_jobs_of_a_plan_give_results_that_can_be_shown(computed: ControlStore, small: Plan) -> None:
    found = load_controls(computed.path, small)
    assert found.reviews == 6
    assert found.tickets == 16
    assert {name: len(by_seed) for name, by_seed in found.variants.items()} == {
        name: 1 if name == "start" else 2 for name in VARIANTS
    }
    assert found.attention["tuned"].shape == (2, 2, 4)
    assert "".join(token.word for token in found.tokens[0]) == INIT_TEXT[: len("Comment: I love")]
    (line,) = found.lines
    assert line.points[0][1] == found.variants["tuned"][0][0]
    assert line.points[-1][1] == found.variants["tuned"][1][0]
    for result in computed.results.values():
        assert result["machine"]["cpu"]
        assert set(result["versions"]) >= {"torch", "transformers"}


def found_in(result: dict[str, Any]) -> list[float]:
    """The numbers of a result, wherever they were computed."""
    return jobs._numbers({name: value for name, value in result.items() if name != "machine"})


@pytest.mark.slow
def test_jobs_run_in_processes_and_none_twice(
    computed: ControlStore, small: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    few = replace(small, seeds=(0,), lines=1, cache=tmp_path / "cache")
    store = ControlStore.read(tmp_path / "controls.jsonl", few)
    assert compute(store, "cpu", 2) == {}
    assert store.expected() == []
    assert {result["machine"]["threads"] for result in store.results.values()} == {1}
    for name, result in store.results.items():
        if name in computed.results:
            assert found_in(result) == pytest.approx(found_in(computed.results[name]), rel=1e-4, abs=1e-6)
    before = store.path.read_bytes()
    assert compute(ControlStore.read(store.path, few), "cpu", 1) == {}
    assert store.path.read_bytes() == before


@pytest.mark.slow
def test_a_job_gives_the_same_again(computed: ControlStore, small: Plan) -> None:
    again = replace(small, cache=small.cache / "again")
    for kind in KINDS:
        job = next(job for job in small.jobs if isinstance(job, kind))
        result = jobs.run(again, job)
        assert found_in(result) == pytest.approx(found_in(computed.results[job.name]), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_code_that_computes_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = jobs.behaviour_in_small()
    assert set(before) == {kind.kind for kind in KINDS}
    assert all(behaviour["numbers"] for behaviour in before.values())
    random_move = findings.random_move
    monkeypatch.setattr(findings, "random_move", lambda move, generator: 1.01 * random_move(move, generator))
    after = jobs.behaviour_in_small()
    changed = {kind for kind in before if not is_same(before[kind], after[kind])}
    assert changed == {"variant", "geometry", "attention", "transfer"}


@pytest.mark.slow
def test_the_stored_results_were_made_by_code_that_computes_the_same() -> None:
    stored, now = ControlStore.read(CONTROLS, plan_of(RESULTS)).behaviour, jobs.behaviour_in_small()
    changed = [kind for kind in now if not is_same(stored.get(kind), now[kind])]
    assert not changed, f"These results were made by code that computes something else; run `make compare`: {changed}"


# --- the plan ---


def test_of_each_label_every_third_review_is_asked_about() -> None:
    chosen = asked_reviews(PLAN)
    every = [row for name in TEST_FILES for row in read_rows(DATA / name)]
    for label in ("0", "1"):
        assert [row for row in chosen if row.output == label] == [row for row in every if row.output == label][::3]
    assert len(chosen) == 240
    assert asked_reviews(replace(PLAN, every=1)) == every


def test_the_plan_has_each_job_once_and_what_they_need() -> None:
    names = [job.name for job in PLAN.jobs]
    assert len(set(names)) == len(names)
    assert {type(job) for job in PLAN.jobs} == set(KINDS)
    counted = {kind: sum(isinstance(job, kind) for job in PLAN.jobs) for kind in KINDS}
    assert counted == {Tuning: 5, Variant: 36, Geometry: 5, Attention: 5, Line: 3, Cosines: 1, Transfer: 12}
    for job in PLAN.jobs:
        for needed in job.needs:
            assert names.index(needed.name) < names.index(job.name)


def test_work_is_counted() -> None:
    assert updates_of(PLAN, Tuning(0)) == 120
    assert updates_of(PLAN, Transfer(0, "tuned on reviews")) == 3 * 38
    assert answers_of(PLAN, Variant(0, "tuned")) == 240
    assert answers_of(PLAN, Variant(0, "shuffled")) == 720
    assert answers_of(PLAN, Line(0, 1)) == 7 * 240
    assert answers_of(PLAN, Transfer(0, "tuned on reviews")) == 400
    assert answers_of(PLAN, Geometry(0)) == updates_of(PLAN, Geometry(0)) == 0


def test_the_recipe_is_the_lesson_s_until_the_comparison_has_chosen(tmp_path: Path) -> None:
    before = plan_of(tmp_path / "nowhere", SMALL)
    assert before.recipe_from == LESSON
    assert before.recipe == Recipe(LOCAL_SETTINGS.learning_rate, LOCAL_SETTINGS.num_epochs)
    store = Store.read(tmp_path / "results.jsonl", SMALL)
    fill_comparison(store)
    method = SMALL.method("prompt-20")
    tried = next(job for job in store.trials() if job.method == method and "template none" in job.name)
    store.put(tried, {"accuracy": 0.9, "loss": 0.1, "written": 0.9})
    after = plan_of(store.path, SMALL)
    assert (after.recipe, after.recipe_from) == (tried.candidate, SEARCHED)
    assert (after.model, after.rows, after.seeds) == (SMALL.model, 16, (0,))
