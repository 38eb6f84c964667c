"""The plan covers what the lesson speaks of, and its searches count for what they should."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comparison import plan
from comparison.hard_prompts import WORDINGS
from comparison.plan import FULL, HARD_PROMPT, METHODS, Method
from prompt_tuning_helpers.datasets import load_rows, reviews_path
from prompt_tuning_helpers.engine.models import load_tokenizer
from prompt_tuning_helpers.engine.rows import wrap

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_plan_its_prompts_and_its_results_need_no_torch() -> None:
    modules = ", ".join(f"comparison.{name}" for name in ("plan", "hard_prompts", "results"))
    command = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=NOTEBOOKS, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_full_plan_covers_what_the_lesson_speaks_of() -> None:
    assert {method.family for method in METHODS} == {
        "prompt engineering",
        "prompt tuning",
        "prefix tuning",
        "LoRA",
        "full fine-tuning",
        "classic baseline",
    }
    assert FULL.rows == (20, 80, 320)
    assert len(FULL.seeds) >= 3
    assert len(load_rows(reviews_path("test"))) == FULL.test_rows
    assert {method.init_method for method in METHODS if method.virtual_tokens == 50} == {"text", "random"}
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_a_search_that_fits_it(method: Method) -> None:
    chosen_for = FULL.method(method.searched_as) if method.searched_as else method
    assert chosen_for.candidates
    assert chosen_for.family == method.family
    if method.family == HARD_PROMPT:
        candidates = [candidate.split() for candidate in method.candidates]
        # Each wording with each number of examples.
        assert {wording for wording, _ in candidates} == set(WORDINGS)
        assert len(candidates) == len(WORDINGS) * len({examples for _, examples in candidates})
    elif method.candidates:
        numbers = [float(candidate) for candidate in method.candidates]
        assert numbers == sorted(numbers)
        assert len(numbers) >= 3


def test_fewer_rows_get_more_epochs() -> None:
    method = Method("any", "any", "any", epochs=((20, 6), (80, 4), (320, 2)))
    assert [method.epochs_on(rows) for rows in (1, 20, 21, 80, 81, 320, 1000)] == [6, 6, 4, 4, 2, 2, 2]


def test_a_search_counts_for_the_methods_that_name_it_and_for_all_seeds_unless_each_has_its_own() -> None:
    def names(method: str) -> list[str]:
        return [plan.search_of(FULL, FULL.method(method), seed).name for seed in FULL.seeds]

    assert names("prompt-100") == ["search-prompt-50-seed-0"] * 3
    assert names("full") == ["search-full-seed-0"] * 3
    assert names("few-shot") == ["search-few-shot-seed-0", "search-few-shot-seed-1", "search-few-shot-seed-2"]


def test_settings_are_what_json_gives_back() -> None:
    for job in plan.searches(FULL):
        assert json.loads(json.dumps(job.settings)) == job.settings


def test_one_soft_prompt_is_opened() -> None:
    jobs = [
        plan.measurement(FULL, method, rows, seed, "0.01")
        for method in METHODS
        for rows in plan.rows_of(FULL, method)
        for seed in FULL.seeds
    ]
    assert [job.name for job in jobs if job.settings["opened"]] == [f"{FULL.opened}-320-rows-seed-0"]
    assert len({job.name for job in jobs}) == len(jobs)


def test_no_row_is_too_long_to_learn_from() -> None:
    lesson = plan.searches(FULL)[0].settings["lesson"]
    texts = [wrap(lesson["verbalizer"], text) for text in load_rows(reviews_path("train"))["input"]]
    lengths = [len(tokens) for tokens in load_tokenizer(FULL.model)(texts)["input_ids"]]
    # Longer ones would be left out, and "320 rows" would be fewer.
    assert max(lengths) <= lesson["max_input_tokens"]
