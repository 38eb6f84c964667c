"""The engine's own search for settings, on the tiny model and on larger and smaller copies of it."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from prompt_tuning_helpers.engine import EngineError, TuningSettings, UnusableSettings
from prompt_tuning_helpers.engine.__main__ import app, new_job, read_given
from prompt_tuning_helpers.engine.held_back import measure
from prompt_tuning_helpers.engine.job_folder import Job
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_rows
from prompt_tuning_helpers.engine.search import RESULT, Searched, search, summary, table
from prompt_tuning_helpers.engine.search_plan import SearchError
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.tune import tune
from tests.support.networks import plain_logits
from tests.support.scaled import save_scaled


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    rows = [
        {"input": f"Comment: {word} {number}\nLabel: ", "output": label}
        for number in range(20)
        for word, label in (("good", "1"), ("bad", "0"))
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return path


def quiet(_: str) -> None:
    """Say nothing."""


def losses_of(found: Searched) -> list[float]:
    return [trial.held_back_loss for trial in found.trials if trial.held_back_loss is not None]


# --- measuring on held-back rows


def test_the_held_back_loss_and_answers_are_the_plain_forwards(
    tiny: LoadedModel, tiny_network: torch.nn.Module, settings: TuningSettings
) -> None:
    rows = [TrainingRow(f"review {number}:", str(number % 3)) for number in range(40)]
    prompt = initialise(tiny.model, tiny.tokenizer, settings)
    measured = measure(tiny, prompt, rows, ["0", "1", "2"], settings)
    data = encode_rows(rows, tiny.tokenizer, settings)
    logits = plain_logits(tiny_network, prompt, [(data.shared + inputs, outputs) for inputs, outputs in data.rows])
    labels = torch.tensor([token for _, outputs in data.rows for token in outputs])
    assert measured.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    digits = [tiny.tokenizer.convert_tokens_to_ids(digit) for digit in "012"]
    chosen = logits[::2, digits].argmax(1)  # each output is a digit and the end of the text
    assert measured.right == sum(int(choice) == number % 3 for number, choice in enumerate(chosen))
    assert measured.rows == 40


@pytest.mark.parametrize("labels", [[], ["\f", "\f\f"]])
def test_texts_and_labels_that_begin_alike_must_be_answered_word_for_word(
    tiny: LoadedModel, tiny_network: torch.nn.Module, settings: TuningSettings, labels: list[str]
) -> None:
    """To about half of all texts, this model of random weights answers with a form feed."""
    rows = [TrainingRow(f"{chr(number)}{chr(2 * number)}", "\f") for number in range(35, 75)]
    settings = replace(settings, verbalizer="{{input}}")
    prompt = initialise(tiny.model, tiny.tokenizer, settings)
    for tokens in (1, 2):
        settings = replace(settings, max_output_tokens=tokens)
        data = encode_rows(rows, tiny.tokenizer, settings)
        logits = plain_logits(tiny_network, prompt, [(data.shared + inputs, outputs) for inputs, outputs in data.rows])
        wanted = torch.tensor([outputs for _, outputs in data.rows])
        expected = int((logits.argmax(1).view_as(wanted) == wanted).all(1).sum())
        assert measure(tiny, prompt, rows, labels, settings).right == expected
        assert (expected > 0) == (tokens == 1), "the form feed comes, the end of the text does not"


# --- the search


def test_the_same_range_serves_models_of_any_size(rows_file: Path, tmp_path: Path) -> None:
    """Embeddings that differ by a factor of 100 are moved by the same part of themselves: each run learns the same."""
    found = {
        factor: search(save_scaled(tmp_path / str(factor), factor), rows_file, {}, say=quiet) for factor in (0.1, 1, 10)
    }
    for factor, each in found.items():
        assert each.settings.learning_rate == pytest.approx(found[1].settings.learning_rate * factor)
        assert each.settings.num_virtual_tokens == found[1].settings.num_virtual_tokens
        assert losses_of(each) == pytest.approx(losses_of(found[1]), rel=0.02)
    # and it is learnt: the best is well below the slowest
    assert min(losses_of(found[1])) < 0.85 * max(losses_of(found[1]))


def test_what_is_given_is_not_searched(rows_file: Path) -> None:
    given = {"learning_rate": 0.05, "num_virtual_tokens": 7, "init_method": "random", "num_epochs": 3}
    found = search("tiny", rows_file, given, say=quiet)
    assert [(trial.learning_rate, trial.num_virtual_tokens, trial.round) for trial in found.trials] == [(0.05, 7, 1)]
    assert {name: getattr(found.settings, name) for name in given} == given


def test_a_run_that_fails_counts_and_the_search_goes_on(rows_file: Path) -> None:
    found = search("tiny", rows_file, {}, rates=[0.05], lengths=[5, 3000], say=quiet)
    assert [trial.failure is None for trial in found.trials] == [True, False]
    assert "attends to at most 2048" in (found.trials[1].failure or "")
    assert found.settings.num_virtual_tokens == 5
    assert "failed: The longest row" in table(found.trials)


def test_a_run_that_diverges_counts_and_the_search_goes_on(rows_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prompt_tuning_helpers.engine import search as module

    def diverge(*arguments: object, **more: object) -> torch.Tensor:
        if arguments[3].learning_rate > 0.1:  # type: ignore[attr-defined]
            raise FloatingPointError("the loss became nan in step 3")
        return tune(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "tune", diverge)
    found = search("tiny", rows_file, {"num_virtual_tokens": 5}, rates=[0.05, 0.5], say=quiet)
    assert [trial.failure for trial in found.trials] == [None, "diverged: the loss became nan in step 3"]
    assert found.settings.learning_rate == 0.05


def test_when_all_runs_fail_the_first_reason_is_told(rows_file: Path) -> None:
    with pytest.raises(SearchError, match=r"All runs failed\. The first: The longest row .* attends to at most 2048"):
        search("tiny", rows_file, {}, rates=[0.05], lengths=[3000, 4000], say=quiet)


def test_an_interrupted_search_gives_what_it_has_found(rows_file: Path) -> None:
    said: list[str] = []

    def interrupt(text: str) -> None:
        said.append(text)
        if "0.05" in text and len(said) > 3:
            raise KeyboardInterrupt

    found = search("tiny", rows_file, {"num_virtual_tokens": 5}, rates=[0.02, 0.05, 0.1], say=interrupt)
    assert found.interrupted
    assert len(found.trials) == 2
    assert "ended early" in summary(found)
    with pytest.raises(KeyboardInterrupt):
        search("tiny", rows_file, {"num_virtual_tokens": 5}, rates=[0.02], say=lambda _: interrupt("0.05"))


def test_data_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"input": f"review {number}", "output": "1"} for number in range(50)]))
    with pytest.raises(SearchError, match="Every row has the output '1'"):
        search("tiny", path, {}, say=quiet)


def test_impossible_settings_are_refused_before_anything_is_done(rows_file: Path) -> None:
    for rates, lengths in (([-1.0], []), ([], [0])):
        with pytest.raises(UnusableSettings):
            search("tiny", rows_file, {}, rates, lengths, say=quiet)


# --- the command line


def test_the_command_says_what_to_run_next(rows_file: Path, tmp_path: Path) -> None:
    command = ["search", str(tmp_path / "out"), "--data", str(rows_file), "--base-model", "tiny"]
    result = CliRunner().invoke(app, [*command, "--rate", "0.05", "--length", "5", "--setting", "seed=3"])
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out" / RESULT).read_text())
    assert [trial["learning_rate"] for trial in written["trials"]] == [0.05]
    assert written["settings"]["seed"] == 3
    assert "Best: learning_rate 0.05 with 5 virtual tokens" in result.output
    module, tune = "-m prompt_tuning_helpers.engine tune", result.output[result.output.rindex("python -m") :]
    assert module in tune
    words = shlex.split(tune)
    folder, settings = Path(words[4]), [words[place + 1] for place, word in enumerate(words) if word == "--setting"]
    new_job(folder, rows_file, "tiny", settings)
    assert Job.read(folder).settings == TuningSettings(**written["settings"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "missing.json"], "There is no training file missing.json."),
        (["--setting", "colour=red"], "There is no setting 'colour'"),
        (["--setting", "seed=x"], "seed is 'x', which is no int"),
        (["--model", "no such model"], "There is no model 'no such model'"),
        (["--length", "0"], "num_virtual_tokens is 0"),
    ],
)
def test_bad_input_is_told_in_one_line(rows_file: Path, tmp_path: Path, more: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["search", str(tmp_path), "--data", str(rows_file), "--model", "tiny", *more])
    assert result.exit_code == 1
    assert message in result.output + str(result.exception)
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_written_is_found_out_at_once(rows_file: Path) -> None:
    result = CliRunner().invoke(app, ["search", str(rows_file / "in a file"), "--data", str(rows_file)])
    assert result.exit_code == 1
    assert "The search cannot use" in result.output + str(result.exception)


def test_settings_of_a_command_line_have_the_type_of_the_setting() -> None:
    assert read_given("tiny", ["seed=3", "learning_rate=1", "init_text=a=b"]) == {
        "seed": 3,
        "learning_rate": 1.0,
        "init_text": "a=b",
    }
    with pytest.raises(EngineError):
        read_given("tiny", ["seed"])
