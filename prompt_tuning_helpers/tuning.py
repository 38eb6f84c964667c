"""Tuning: a run with its progress in view, within a budget of time, and picking up a run again."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ._metrics import metrics_of
from ._outcome import has_ended, how_it_failed, how_it_went
from ._progress import Meter, progress_of
from ._sdk import ProgressLine, add_advice, is_passing, is_rate_limit, quiet_sdk, status_code
from .i18n import say

if TYPE_CHECKING:
    from ibm_watsonx_ai import APIClient
    from ibm_watsonx_ai.experiment import TuneExperiment
    from ibm_watsonx_ai.foundation_models.prompt_tuner import PromptTuner

ENOUGH_SEEN = 0.1  # part of a run, from which its speed is known
WAITED = 0.01  # part of the time that a run has reported for, after which it is looked at again


class TuningError(RuntimeError):
    """A tuning run ended without a tuned model; the message gives the service's reason."""


class ConnectionLostError(RuntimeError):
    """The service could not be reached for too long. The run itself continues and can be picked up again."""


@dataclass(frozen=True)
class PromptTuningSettings:
    """Parameters of ``TuneExperiment.prompt_tuner`` that suit one base model.

    Args:
        accumulate_steps: batches per update of the soft prompt.
        batch_size: rows per batch.
        learning_rate: how far one update moves the soft prompt.
        max_input_tokens: rows with a longer input are left out.
        max_output_tokens: outputs are cut to this many tokens; a label and the end-of-text token make two.
        num_epochs: passes over the training rows.
        init_text: words that the soft prompt starts from.
        verbalizer: the template around each input, in training and at inference.
    """

    accumulate_steps: int
    batch_size: int
    learning_rate: float
    max_input_tokens: int
    max_output_tokens: int
    num_epochs: int
    init_text: str
    verbalizer: str


def watch(
    run: "PromptTuner | tuple[APIClient, str]",
    *,
    every: float = 2.0,
    patience: float = 300.0,
    minutes: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Show the progress of a tuning run until it ends: epoch, loss and time left.

    Args:
        run: the tuner whose ``run(..., background_mode=True)`` was called, or a client and the run's id.
        every: seconds between two requests. A run that has reported for longer than a hundred times that is asked for
            less often: each answer has all metrics so far.
        patience: seconds without any answer from the service after which watching ends.
        minutes: the longest that the run may take, from its first report on; by default, as long as it needs. One
            that would take longer at the speed of its first tenth is cancelled.
        pause: waits for so many seconds; for tests.

    Returns:
        The details of the completed run, as the SDK gives them.

    Raises:
        TuningError: if the run failed or was cancelled, with the service's reason; if it takes longer than it may.
        ConnectionLostError: if the service could not be reached for longer than ``patience``.
        ValueError: if the tuner has not been run.
    """
    details = follow(run, every=every, patience=patience, minutes=minutes, pause=pause)
    if complaint := how_it_failed(details):
        raise TuningError(complaint)
    for line in how_it_went(details):
        print(line)
    return details


def follow(
    run: "PromptTuner | tuple[APIClient, str]",
    *,
    every: float = 2.0,
    patience: float = 300.0,
    minutes: float | None = None,
    pause: Callable[[float], None] = time.sleep,
    prefix: str = "",
) -> dict[str, Any]:
    """Show the progress of a tuning run until it ends, and leave nothing behind.

    Args:
        run: as in ``watch``, like all that follows.
        every: seconds between two requests, or more.
        patience: seconds without an answer.
        minutes: the longest that the run may take.
        pause: waits.
        prefix: what the line of progress begins with.

    Returns:
        The details of the run, however it ended.

    Raises:
        TuningError: if the run takes longer than it may.
        ConnectionLostError: as in ``watch``.
        ValueError: as in ``watch``.
    """
    training_id, ask = _question(run)
    polls = _polls(training_id, ask, every, patience, pause)
    if minutes is not None:
        polls = _within(minutes, polls, training_id, _way_to_cancel(run))
    return _show(polls, prefix)


def _question(run: "PromptTuner | tuple[APIClient, str]") -> tuple[str, Callable[[], dict[str, Any]]]:
    """Give the id of a run, and the call that asks for its details with the metrics in them."""
    if isinstance(run, tuple):
        client, training_id = run
        return training_id, partial(client.training.get_details, training_id)
    if run.id is None:
        raise ValueError("This tuner has not been run yet: call its run(..., background_mode=True) first.")
    return run.id, partial(run.get_run_details, include_metrics=True)


def _way_to_cancel(run: "PromptTuner | tuple[APIClient, str]") -> Callable[[], object]:
    """Give the call that ends a run."""
    if isinstance(run, tuple):
        client, training_id = run
        return partial(client.training.cancel, training_id)
    return run.cancel_run


def _within(
    minutes: float, polls: Iterable[dict[str, Any] | None], training_id: str, cancel: Callable[[], object]
) -> Iterator[dict[str, Any] | None]:
    """Pass on the polls of a run, and cancel it if it takes, or would take, longer than it may.

    Yields:
        The polls.

    Raises:
        TuningError: if it was cancelled.
    """
    started: tuple[float, float] | None = None
    for details in polls:
        done = None if details is None or has_ended(details) else progress_of(details)[2]
        if done is not None:
            now = time.monotonic()
            started = started or (now, done)
            since, first = started
            seen = done - first
            # What is left may be less than a tenth: then only the time that has passed counts.
            expected = (now - since) * max(1.0, (1 - first) / seen if seen >= ENOUGH_SEEN else 0.0)
            if expected > 60 * minutes:
                cancel()
                raise TuningError(
                    f"The tuning run {training_id} was cancelled: at this speed it takes {expected / 60:.1f} minutes, "
                    f"and {minutes:g} were allowed. Allow more, or tune with fewer epochs or rows."
                )
        yield details


def _polls(
    training_id: str,
    ask: Callable[[], dict[str, Any]],
    every: float,
    patience: float,
    pause: Callable[[float], None],
) -> Iterator[dict[str, Any] | None]:
    """Ask for a run's details again and again until it has ended.

    Yields:
        The details; ``None`` where the service did not answer and will be asked again.

    Raises:
        ConnectionLostError: if it has not answered for longer than ``patience``.
    """
    heard = time.monotonic()
    reports_since: float | None = None
    while True:
        try:
            with quiet_sdk():
                details = ask()
        except Exception as problem:
            if not is_passing(problem):
                add_advice(problem)
                raise
            if time.monotonic() - heard > patience:
                raise _lost(training_id, patience, problem) from problem
            yield None
            pause(every)
        else:
            yield details
            if has_ended(details):
                return
            now = time.monotonic()
            if reports_since is None and metrics_of(details):
                reports_since = now
            # Each answer has a record for each step so far: at a fixed pace, they would cost the square of the steps.
            pause(every if reports_since is None else max(every, WAITED * (now - reports_since)))
            heard = time.monotonic()  # the service is not silent while it is not asked


def _lost(training_id: str, patience: float, problem: Exception) -> ConnectionLostError:
    """Say that a run can no longer be watched, and how to pick it up again."""
    what = "refused all requests as too many (status 429)" if is_rate_limit(problem) else "not answered"
    return ConnectionLostError(
        f"The service has {what} for {patience:.0f} seconds. The run is not lost: when the service answers again, pick "
        f"it up with watch(resume(experiment, {training_id!r})). In a new kernel, or if the lesson runs on this "
        "computer, first connect() and make the experiment again."
    )


def _show(polls: Iterable[dict[str, Any] | None], prefix: str = "") -> dict[str, Any]:
    """Show each poll of a run on one line, which is gone in the end.

    Args:
        polls: of the run.
        prefix: what the line begins with.

    Returns:
        The details of the last poll that was answered.
    """
    line, meter = ProgressLine(), Meter()
    latest: dict[str, Any] = {}
    try:
        for details in polls:
            if details is None:
                line.show(say("Connection lost, trying again ..."))
                continue
            latest = details
            if not has_ended(details):
                line.show(prefix + meter.text(details))
    finally:
        line.clear()
    return latest


def resume(where: "TuneExperiment | APIClient", training_id: str) -> "PromptTuner":
    """Get the tuner of a run that was started earlier, perhaps by another program.

    Args:
        where: an experiment, or a client with its project set.
        training_id: the run's id: ``prompt_tuner.id``, or a line of ``experiment.runs.list()``.

    Returns:
        A tuner to hand to ``watch``, and to use like the one that started the run.

    Raises:
        ValueError: if the service has no such run.
        WMLClientError: if the service cannot be asked.
    """
    runs: Any = getattr(where, "runs", None)
    try:
        with quiet_sdk():
            if runs is None:
                from ibm_watsonx_ai.experiment.fm_tune import TuneRuns

                runs = TuneRuns(client=cast("APIClient", where))
            tuner: PromptTuner = runs.get_tuner(training_id)
    except Exception as problem:
        if status_code(problem) != 404:
            add_advice(problem)
            raise
        raise ValueError(
            f"The project has no tuning run {training_id!r}. List those it has with: experiment.runs.list()"
        ) from None
    return tuner
