"""The plan covers what the lesson speaks of, and its searches count for what they should."""

import subprocess
import sys
from pathlib import Path

import pytest

from comparison.hard_prompts import WORDINGS
from comparison.methods import (
    METHODS,
    FullFineTuning,
    GradientMethod,
    HardPrompt,
    LoRA,
    Method,
    PrefixTuning,
    PromptTuning,
    TfIdf,
    candidate_as_json,
)
from comparison.plan import FULL, Measurement, lesson_settings
from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.engine.loading import load_tokenizer
from prompt_tuning_helpers.engine.rows import wrap
from prompt_tuning_helpers.lesson import reviews_path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_plan_its_prompts_and_its_results_need_no_torch() -> None:
    modules = ", ".join(f"comparison.{name}" for name in ("plan", "hard_prompts", "store", "results"))
    command = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=NOTEBOOKS, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_full_plan_covers_what_the_lesson_speaks_of() -> None:
    kinds = {type(method) for method in METHODS}
    assert kinds == {HardPrompt, PromptTuning, PrefixTuning, LoRA, FullFineTuning, TfIdf}
    assert len({kind.kind for kind in kinds}) == len(kinds)
    assert FULL.rows == (20, 80, 320)
    assert len(FULL.seeds) >= 3
    assert len(load_rows(reviews_path("test"))) == FULL.test_rows
    soft_prompts = [method for method in METHODS if isinstance(method, PromptTuning)]
    assert {method.init_method for method in soft_prompts if method.virtual_tokens == 50} == {"text", "random"}
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_a_search_that_fits_it(method: Method) -> None:
    chosen_for = FULL.method(method.searched_as or method.name)
    assert len(chosen_for.candidates) >= 3
    assert type(chosen_for) is type(method)
    if isinstance(method, HardPrompt):
        # Each wording with each number of examples.
        examples = {candidate.examples for candidate in method.candidates}
        assert {candidate.wording for candidate in method.candidates} == set(WORDINGS)
        assert len(set(method.candidates)) == len(method.candidates) == len(WORDINGS) * len(examples)
    else:
        numbers = [float(candidate) for candidate in method.candidates]  # type: ignore[arg-type]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_candidate_is_known_again_by_what_is_stored_of_it(method: Method) -> None:
    for candidate in method.candidates:
        assert method.candidate(candidate_as_json(candidate)) == candidate
    assert len({method.describe(candidate) for candidate in method.candidates}) == len(method.candidates)


def test_candidates_are_described_as_people_write_them() -> None:
    def described(name: str) -> list[str]:
        method = FULL.method(name)
        return [method.describe(candidate) for candidate in method.candidates]

    assert described("full") == ["learning rate 0.00001", "learning rate 0.00003", "learning rate 0.0001"]
    assert described("tf-idf") == ["C = 1", "C = 10", "C = 100"]
    assert described("zero-shot")[0] == "instruction"
    assert described("few-shot")[:2] == ["instruction, 4 examples", "instruction, 8 examples"]


def test_fewer_rows_get_more_epochs() -> None:
    method = GradientMethod(name="any", title="any", epochs=((20, 6), (80, 4), (320, 2)))
    assert [method.epochs_on(rows) for rows in (1, 20, 21, 80, 81, 320, 1000)] == [6, 6, 4, 4, 2, 2, 2]


def test_a_search_counts_for_the_methods_that_name_it_and_for_all_seeds_unless_each_has_its_own() -> None:
    def names(method: str) -> list[str]:
        return [FULL.search_of(FULL.method(method), seed).name for seed in FULL.seeds]

    assert names("prompt-100") == ["search-prompt-50-seed-0"] * 3
    assert names("full") == ["search-full-seed-0"] * 3
    assert names("few-shot") == ["search-few-shot-seed-0", "search-few-shot-seed-1", "search-few-shot-seed-2"]
    assert {FULL.search_of(method, seed) for method in METHODS for seed in FULL.seeds} == set(FULL.searches())


def test_one_soft_prompt_is_opened() -> None:
    jobs = [
        Measurement(method, rows, seed, 0.01)
        for method in METHODS
        for rows in FULL.rows_of(method)
        for seed in FULL.seeds
    ]
    assert [job.name for job in jobs if FULL.opens(job)] == [f"{FULL.opened}-320-rows-seed-0"]
    assert len({job.name for job in jobs}) == len(jobs)


def test_no_row_is_too_long_to_learn_from() -> None:
    lesson = lesson_settings()
    texts = [wrap(lesson["verbalizer"], text) for text in load_rows(reviews_path("train"))["input"]]
    lengths = [len(tokens) for tokens in load_tokenizer(FULL.model)(texts)["input_ids"]]
    # Longer ones would be left out, and "320 rows" would be fewer.
    assert max(lengths) <= lesson["max_input_tokens"]
