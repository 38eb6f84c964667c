"""The search for settings without a runtime: short runs in this process, measured on rows that are held back.

``search_plan.py`` says which runs are made.
"""

import json
import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from .._files import write_file
from . import loading
from .defaults import complete_settings
from .embedding_scale import embedding_rms
from .errors import EngineError, reason_of
from .held_back import measure
from .job import check_tokens
from .memory import keep_freed_memory
from .rows import TrainingRow, encode_rows, read_rows
from .search_plan import (
    LAST_STEPS,
    SHORT_LENGTH,
    Round,
    SearchError,
    Trial,
    best_of,
    full_epochs,
    halve,
    hold_back,
    interval_of,
    is_at_the_edge,
    labels_in,
    plan_rounds,
    rates_for,
    solved_examples,
    unit_of,
)
from .settings import TuningSettings, check_settings
from .soft_prompt import initialise
from .tune import Progress, tune

RESULT = "search.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Args:
        settings: the best, with epochs for all training rows.
        best: the run that they were chosen for.
        trials: all runs, in the order in which they were made.
        interrupted: whether the search was ended before its time.
    """

    settings: TuningSettings
    best: Trial
    trials: tuple[Trial, ...]
    interrupted: bool


def search(
    model: str,
    data: Path,
    given: Mapping[str, Any],
    rates: Sequence[float] = (),
    lengths: Sequence[int] = (),
    say: Callable[[str], None] = print,
) -> Searched:
    """Find the learning rate and the length of the soft prompt that suit a base model and a training file.

    A part of the rows is held back; settings are compared by the loss of these rows. Ctrl-C ends the search early.

    Args:
        model: source of the base model.
        data: the training file.
        given: settings that stay as they are, by name. By default the soft prompt starts from the shortest rows.
        rates: learning rates to try; by default, a range that suits the size of the model's embeddings.
        lengths: of the soft prompt, in tokens, to try.
        say: told what is going on, line by line.

    Raises:
        EngineError: for a file, settings or a model that cannot be used.
        SearchError: if there are too few rows or outputs, or if all runs failed.
        KeyboardInterrupt: if the search was ended before one run was.
    """
    rows = read_rows(data)
    parts = hold_back([row.output for row in rows], int(given.get("seed", 0)))
    training, held_back = ([rows[index] for index in part] for part in parts)
    loading.load(model)  # first, since the size of the embeddings is read from what this leaves on the machine
    keep_freed_memory()
    base = _base_settings(model, training, given)
    candidates = _candidates(model, base, given, rates, lengths)
    rounds = plan_rounds(len(candidates), len(training), base.batch_size * base.accumulate_steps)
    runs = _Runs(model, training, held_back, sum(each.passes for each in rounds), say)
    runs.announce(candidates, rounds)
    interrupted = False
    try:
        halve(candidates, rounds, runs.attempt)
    except KeyboardInterrupt:
        if best_of(runs.trials) is None:
            raise
        interrupted = True
    best = best_of(runs.trials)
    if best is None:
        raise SearchError(f"All runs failed. The first: {runs.trials[0].failure}")
    assert best.num_virtual_tokens is not None
    settings = replace(base, learning_rate=best.learning_rate, num_virtual_tokens=best.num_virtual_tokens)
    if "num_epochs" not in given:
        labels = labels_in([row.output for row in rows])
        rows_per_update = base.batch_size * base.accumulate_steps
        settings = replace(settings, num_epochs=full_epochs(len(rows), rows_per_update, len(labels)))
    return Searched(settings, best, tuple(runs.trials), interrupted)


def _base_settings(model: str, training: Sequence[TrainingRow], given: Mapping[str, Any]) -> TuningSettings:
    chosen = dict(given)
    if "init_method" not in chosen and "init_text" not in chosen:
        chosen["init_text"] = solved_examples([row.input for row in training], [row.output for row in training])
    settings = complete_settings(model, chosen)
    check_settings(settings)
    return settings


def _candidates(
    model: str, base: TuningSettings, given: Mapping[str, Any], rates: Sequence[float], lengths: Sequence[int]
) -> list[TuningSettings]:
    """Give the settings to compare: every rate with every length."""
    if not rates:
        unit = unit_of(base.init_method, embedding_rms(model))
        rates = [base.learning_rate] if "learning_rate" in given else rates_for(unit)
    if not lengths:
        usual = base.num_virtual_tokens
        lengths = [usual] if "num_virtual_tokens" in given else sorted({min(SHORT_LENGTH, usual), usual})
    candidates = [
        replace(base, learning_rate=rate, num_virtual_tokens=length)
        for length, rate in product(dict.fromkeys(lengths), dict.fromkeys(rates))
    ]
    for candidate in candidates:
        check_settings(candidate)
    return candidates


class _Runs:
    """Makes the runs of a search and keeps what they showed.

    Args:
        model: source of the base model.
        training: the rows to tune on.
        held_back: the rows to measure on.
        passes: rows that all runs will pass by the model, counted each time.
        say: told what is going on.
    """

    def __init__(
        self,
        model: str,
        training: Sequence[TrainingRow],
        held_back: Sequence[TrainingRow],
        passes: int,
        say: Callable[[str], None],
    ) -> None:
        self.trials: list[Trial] = []
        self._model = model
        self._loaded = loading.load(model)
        self._loaded.choose_threads()
        self._training = training
        self._held_back = held_back
        self._passes = passes
        self._say = say
        outputs = [row.output for row in (*training, *held_back)]
        self._labels = labels_in(outputs)
        most_frequent = Counter(outputs).most_common(1)[0][0]
        self._guessing = sum(row.output == most_frequent for row in held_back) / len(held_back)

    def announce(self, candidates: Sequence[TuningSettings], rounds: Sequence[Round]) -> None:
        """Say beforehand what the search will cost."""
        rates = ", ".join(f"{rate:g}" for rate in dict.fromkeys(each.learning_rate for each in candidates))
        lengths = ", ".join(str(length) for length in dict.fromkeys(each.num_virtual_tokens for each in candidates))
        self._say(f"Learning rates: {rates}. Virtual tokens: {lengths}.")
        plan = ", then ".join(f"{each.candidates} on {each.rows * each.epochs} rows" for each in rounds)
        self._say(
            f"{sum(each.candidates for each in rounds)} short runs: {plan}. All are measured on "
            f"{len(self._held_back)} rows that are held back. Ctrl-C ends the search with what it has found."
        )

    def attempt(self, settings: TuningSettings, plan: Round, number: int) -> Trial:
        """Make one run; one that cannot be done is a result, too."""
        began = time.monotonic()
        trial = Trial(
            number, settings.learning_rate, settings.num_virtual_tokens, start=1, rows=plan.rows, epochs=plan.epochs
        )
        try:
            trial = self._run(replace(settings, num_epochs=plan.epochs), trial)
        except FloatingPointError as error:
            trial = replace(trial, failure=f"diverged: {error}")
        except EngineError as error:
            trial = replace(trial, failure=error.message)
        except (RuntimeError, MemoryError) as error:  # of torch, for instance when memory is short
            logger.warning("A run of the search failed", exc_info=error)
            trial = replace(trial, failure=reason_of(error))
        trial = replace(trial, seconds=time.monotonic() - began)
        self.trials.append(trial)
        self._say(_line(trial))
        if len(self.trials) == 1:
            left = trial.seconds * (self._passes / (plan.rows * plan.epochs) - 1)
            self._say(f"The others will take at most about {max(1, round(left / 60))} min.")
        return trial

    def _run(self, settings: TuningSettings, trial: Trial) -> Trial:
        data = encode_rows(self._training[: trial.rows], self._loaded.tokenizer, settings)
        check_tokens(self._loaded, data, settings)
        losses: list[float] = []

        def note(progress: Progress) -> None:
            losses.append(progress.loss)

        start = initialise(self._loaded.model, self._loaded.tokenizer, settings)
        tuned = tune(self._loaded.model, start, data, settings, report=note)
        held_back = measure(self._loaded, tuned, self._held_back, self._labels, settings)
        score = held_back.right / held_back.rows
        return replace(
            trial,
            score=score,
            interval=interval_of(score, held_back.rows),
            held_back_loss=held_back.loss,
            final_loss=sum(losses[-LAST_STEPS:]) / len(losses[-LAST_STEPS:]),
            learnt=score > self._guessing,
        )


HEAD = (
    f"{'round':>5} {'learning rate':>13} {'tokens':>6} {'rows':>5} {'accuracy (95 %)':>20} {'loss':>7} {'seconds':>7}"
)


def table(trials: Iterable[Trial]) -> str:
    """Write the runs as a table, one line a run."""
    return "\n".join([HEAD, *map(_line, trials)])


def _line(trial: Trial) -> str:
    start = f"{trial.round:>5} {trial.learning_rate:>13g} {trial.num_virtual_tokens:>6} {trial.rows * trial.epochs:>5}"
    if trial.score is None or trial.interval is None or trial.held_back_loss is None:
        return f"{start}  failed: {trial.failure}"
    accuracy = f"{trial.score:.3f} ({trial.interval[0]:.2f} to {trial.interval[1]:.2f})"
    note = "" if trial.learnt else "  learnt nothing yet"
    return f"{start} {accuracy:>20} {trial.held_back_loss:>7.3f} {trial.seconds:>7.1f}{note}"


def summary(found: Searched) -> str:
    """Say in words what was found, and what to make of it."""
    settings, best = found.settings, found.best
    lines = [
        f"Best: learning_rate {settings.learning_rate:g} with {settings.num_virtual_tokens} virtual tokens; "
        f"{settings.num_epochs} epochs over all rows."
    ]
    if found.interrupted:
        lines.append("The search was ended early: this is the best of what it had tried.")
    if not best.learnt:
        lines.append(
            "But no run answered better than the most frequent output alone would: check the template and the rows, or "
            "choose a larger base model."
        )
    elif is_at_the_edge(best, found.trials):
        lines.append("The best rate is at the edge of what was tried: --rate names others, beyond it.")
    return "\n".join(lines)


def next_command(found: Searched, folder: Path, data: Path, model: str) -> str:
    """Give the command line that tunes with the settings that were found, ready to be copied."""
    command = ["python", "-m", "prompt_tuning_helpers.engine", "tune", str(folder), "--data", str(data)]
    command += ["--model", model]
    usual = asdict(complete_settings(model, {"init_method": found.settings.init_method}))
    for name, value in asdict(found.settings).items():
        if value != usual[name] or name == "init_method":
            command += ["--setting", f"{name}={value}"]
    return shlex.join(command)


def save(found: Searched, folder: Path) -> Path:
    """Write what was found as JSON.

    Args:
        found: by a search.
        folder: where to put ``search.json``; made if need be.

    Raises:
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULT
    write_file(path, json.dumps(asdict(found), indent=2).encode())
    return path
