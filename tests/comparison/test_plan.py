"""The plan covers what the lesson speaks of, and its searches count for what they should."""

import hashlib
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from comparison.hard_prompts import WORDINGS
from comparison.methods import (
    METHODS,
    TEMPLATES,
    FullFineTuning,
    GradientMethod,
    HardPrompt,
    LoRA,
    Method,
    PrefixTuning,
    PromptTuning,
    Recipe,
    StartingText,
    TfIdf,
    WrittenPrompt,
)
from comparison.plan import (
    BATCH_SIZE,
    DATA,
    FULL,
    JOBS,
    TEST_FILES,
    TRAINING_ROWS,
    AnsweringCost,
    Measurement,
    Trial,
    TuningCost,
    data_files,
    lesson_settings,
)
from comparison.search import REACH
from comparison.training import MAX_INPUT_TOKENS
from prompt_tuning_helpers.engine.loading import load_tokenizer
from prompt_tuning_helpers.engine.rows import read_rows, wrap
from prompt_tuning_helpers.lesson import TEMPLATE, reviews_path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def _modules_needed(modules: str, without: str) -> str:
    command = f"import sys; sys.modules |= dict.fromkeys({without.split()}); import {modules}; print('done')"
    done = subprocess.run([sys.executable, "-c", command], cwd=NOTEBOOKS, capture_output=True, text=True)
    return done.stdout + done.stderr[-500:]


def test_the_plan_its_prompts_and_its_results_need_no_torch() -> None:
    modules = ", ".join(f"comparison.{name}" for name in ("plan", "hard_prompts", "store", "results"))
    assert _modules_needed(modules, "torch transformers") == "done\n"


def test_computing_needs_neither_the_sdk_nor_what_tables_and_plots_are_made_with() -> None:
    modules = "comparison.__main__, comparison.training, comparison.opened"
    assert _modules_needed(modules, "ibm_watsonx_ai pandas matplotlib statsmodels") == "done\n"


def test_the_full_plan_covers_what_the_lesson_speaks_of() -> None:
    kinds = {type(method) for method in METHODS}
    assert kinds == {HardPrompt, StartingText, PromptTuning, PrefixTuning, LoRA, FullFineTuning, TfIdf}
    assert len({kind.kind for kind in kinds}) == len(kinds)
    assert FULL.rows == (20, 80, 320)
    assert len(FULL.seeds) == 5
    assert sum(len(read_rows(DATA / name)) for name in TEST_FILES) == FULL.test_rows == 720
    assert len(read_rows(reviews_path("train"))) == TRAINING_ROWS == FULL.rows[-1]
    soft_prompts = [method for method in METHODS if isinstance(method, PromptTuning)]
    assert {method.init_method for method in soft_prompts if method.virtual_tokens == 100} == {"text", "random"}
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)
    assert isinstance(FULL.method(FULL.opened), PromptTuning)


def test_results_depend_on_all_files_of_reviews() -> None:
    digests = FULL.settings()["data"]
    assert len(digests) == 3
    assert digests == {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in data_files()}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("rows", FULL.rows)
def test_every_method_has_a_search_that_fits_it(method: Method, rows: int) -> None:
    searched = FULL.searched(method)
    start = searched.start(rows)
    for axis in searched.axes:
        assert getattr(start, axis.name) in axis.values
        assert len(set(axis.values)) == len(axis.values)
        if axis.is_ordered:
            assert sorted(axis.values) == list(axis.values)
            # A search can go one step beyond its first values, on either side: of the passes, on the other alone.
            place = axis.values.index(getattr(start, axis.name))
            assert place >= (1 if axis.name == "epochs" else REACH)
            assert place + REACH < len(axis.values)


def test_trained_methods_are_searched_alike_so_that_none_has_a_head_start() -> None:
    trained = [method for method in METHODS if isinstance(method, GradientMethod)]
    assert all(not method.searched_as for method in trained)
    for method in trained:
        names = [axis.name for axis in method.axes]
        assert names[:3] == ["learning_rate", "epochs", "template"]
        # Whoever does not start from the solved examples may have them in the prompt.
        assert ("shows_examples" in names) == isinstance(method, (LoRA, FullFineTuning))
    assert len(TEMPLATES) == 3
    assert TEMPLATE in TEMPLATES.values()


def test_hard_prompts_choose_among_all_wordings_by_choosing_and_by_writing() -> None:
    prompts = [method for method in METHODS if isinstance(method, HardPrompt) and len(method.wordings) > 1]
    assert {(method.examples, method.judged_by_writing) for method in prompts} == {
        (examples, by_writing) for examples in ((0,), (4, 8)) for by_writing in (False, True)
    }
    assert all(method.wordings == tuple(WORDINGS) for method in prompts)
    assert len(WORDINGS) == 10
    assert any(wording.is_chat for wording in WORDINGS.values())
    assert FULL.seeds_of(FULL.method("zero-shot")) == (0,)
    assert FULL.seeds_of(FULL.method("few-shot")) == FULL.seeds


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_candidate_is_known_again_by_what_is_stored_of_it(method: Method) -> None:
    start = FULL.searched(method).start(320)
    assert method.candidate(asdict(start)) == start


def test_candidates_are_described_as_people_write_them() -> None:
    assert Recipe(0.00001, 1).describe() == "learning rate 0.00001, 1 pass, template feels"
    shown = Recipe(1.0, 4, "none", shows_examples=True)
    assert shown.describe() == "learning rate 1, 4 passes, template none, after solved examples"
    assert WrittenPrompt("chat").describe() == "chat"
    assert WrittenPrompt("chat", 4, 1).describe() == "chat, 4 examples, draw 2"
    assert FULL.method("tf-idf").start(20).describe() == "C = 10"


def test_fewer_rows_start_from_more_passes() -> None:
    method = LoRA(name="any", title="any", rank=8, learning_rates=(1, 2, 3), epochs=((20, 6), (80, 4), (320, 2)))
    assert [method.start(rows).epochs for rows in (1, 20, 21, 80, 81, 320, 1000)] == [6, 6, 4, 4, 2, 2, 2]
    assert method.start(20).learning_rate == 2


def test_names_of_jobs_tell_them_apart() -> None:
    cells = [
        (method, rows, seed, FULL.searched(method).start(rows))
        for method in METHODS
        for rows in FULL.rows_of(method)
        for seed in FULL.seeds_of(method)
    ]
    names = [kind(*cell).name for kind in JOBS for cell in cells]
    assert len(set(names)) == len(names)


def test_a_trial_counts_for_all_methods_and_seeds_that_it_would_be_the_same_for() -> None:
    prompt, text = FULL.method("zero-shot-written"), FULL.method("starting-text")
    assert FULL.trial(prompt, 320, 0, WrittenPrompt("chat")).method == FULL.method("zero-shot")
    assert FULL.trial(text, 320, 0, Recipe(0.1, 1)).method == FULL.method("prompt-100")
    full, few = FULL.method("full"), FULL.method("few-shot-written")
    assert {FULL.trial(full, 320, seed, Recipe(0.1, 1)).seed for seed in FULL.seeds} == {0}
    assert {FULL.trial(few, 320, seed, WrittenPrompt("chat", 4)).seed for seed in FULL.seeds} == set(FULL.seeds)


def test_updates_are_counted() -> None:
    cell = FULL.method("full"), 320, 0, Recipe(0.1, 3)
    assert BATCH_SIZE == 8
    assert FULL.updates(Trial(*cell)) == 3 * 240 / 8
    assert FULL.updates(Measurement(*cell)) == 3 * 320 / 8
    assert FULL.updates(Measurement(FULL.method("full"), 20, 0, Recipe(0.1, 3))) == 3 * 3
    assert (FULL.updates(TuningCost(*cell)), FULL.updates(AnsweringCost(*cell))) == (12, 0)
    assert FULL.updates(Measurement(FULL.method("starting-text"), *cell[1:])) == 0
    assert FULL.updates(Measurement(FULL.method("zero-shot"), 320, 0, WrittenPrompt("chat"))) == 0


def test_no_row_is_too_long_to_learn_from() -> None:
    inputs = [row.input for row in read_rows(reviews_path("train"))]
    template = max(TEMPLATES.values(), key=len)
    texts = [wrap(lesson_settings()["init_text"] + template, text) for text in inputs]
    lengths = [len(tokens) for tokens in load_tokenizer(FULL.model)(texts)["input_ids"]]
    # Longer ones would be left out, and "320 rows" would be fewer.
    assert max(lengths) <= MAX_INPUT_TOKENS
