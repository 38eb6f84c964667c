"""Tuning: settings that suit a base model, a run with its progress in view, and picking up a run again."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._metrics import epochs_of, metrics_of
from ._sdk import ProgressLine, add_advice, advised, is_passing, is_rate_limit, quiet_sdk, status_code
from .engine.job_folder import RowCounts
from .engine.verdict import Verdict
from .i18n import paragraph, say

if TYPE_CHECKING:
    from ibm_watsonx_ai import APIClient
    from ibm_watsonx_ai.experiment import TuneExperiment
    from ibm_watsonx_ai.foundation_models.prompt_tuner import PromptTuner

Number = TypeVar("Number", int, float)


class NoTunableModelError(RuntimeError):
    """The service offers no base model, or not the one that was asked for, for prompt tuning."""


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


ENOUGH_SEEN = 0.1  # part of a run, from which its speed is known

# Which base models have been tuned with settings that are known to suit them, the best known first.
KNOWN_MODELS = (r"smollm", r"local/tiny", r"granite")


def choose_base_model(client: "APIClient", preferred: str | None = None) -> str:
    """Choose a base model among those that the service can prompt-tune now.

    Args:
        client: of the SDK, with its project set.
        preferred: id of the model wanted; when left out, the first model whose settings are known is taken.

    Returns:
        The model's id.

    Raises:
        NoTunableModelError: if there is none, or not the preferred one.
        WMLClientError: if the service does not answer the question.
    """
    offered = [spec["model_id"] for spec in tunable_models(client)]
    return require_offered(min(offered, key=_rank, default="") if preferred is None else preferred, offered)


def require_offered(base_model: str, offered: Sequence[str]) -> str:
    """Make sure that a base model can be tuned.

    Args:
        base_model: its id.
        offered: the ids of those that can.

    Returns:
        The id.

    Raises:
        NoTunableModelError: if there is none, or not this one.
    """
    if not offered:
        raise NoTunableModelError(
            "This service offers no base model for prompt tuning. IBM has deprecated prompt tuning and announced that "
            "tuning on the hosted service would end on 10 September 2026. To follow the lesson all the same, unset "
            "WATSONX_APIKEY and restart the kernel: it then runs on your own computer."
        )
    if base_model not in offered:
        raise NoTunableModelError(
            f"The service cannot prompt-tune {base_model!r} now. Choose one of: {', '.join(offered)}"
        )
    return base_model


def tunable_models(client: "APIClient") -> list[dict[str, Any]]:
    """Give what the service says of the base models that it can prompt-tune now.

    Args:
        client: of the SDK, with its project set.

    Raises:
        WMLClientError: if the service does not answer the question.
    """
    with advised():
        answer = client.foundation_models.get_model_specs_with_prompt_tuning_support()
    specs: list[dict[str, Any]] = (answer or {}).get("resources", [])
    return specs


def _rank(base_model: str) -> int:
    """Give the place of a base model among the known ones."""
    places = (place for place, pattern in enumerate(KNOWN_MODELS) if re.search(pattern, base_model, re.IGNORECASE))
    return next(places, len(KNOWN_MODELS))


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
        every: seconds between two requests.
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
    print(_summary(details))
    for notice in (_rows_left_out(details), _nothing_learnt(details), _replaced(details)):
        if notice:
            print(notice)
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
        every: seconds between two requests.
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


def how_it_failed(details: dict[str, Any]) -> str | None:
    """Say how a run ended without a tuned model, with the service's reason; ``None`` if it has one.

    Args:
        details: of a run that has ended, as the SDK gives them.
    """
    status = details["entity"]["status"]
    if status["state"] == "completed":
        return None
    training_id = details["metadata"]["id"]
    return f"The tuning run {training_id} ended as {status['state']!r}. {_reason(status)}".rstrip()


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
        done = None if details is None or _has_ended(details) else progress_of(details)[2]
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
        else:
            heard = time.monotonic()
            yield details
            if _has_ended(details):
                return
        pause(every)


def _lost(training_id: str, patience: float, problem: Exception) -> ConnectionLostError:
    """Say that a run can no longer be watched, and how to pick it up again."""
    what = "refused all requests as too many (status 429)" if is_rate_limit(problem) else "not answered"
    return ConnectionLostError(
        f"The service has {what} for {patience:.0f} seconds. The run is not lost: when the service answers again, pick "
        f"it up with watch(resume(experiment, {training_id!r})). In a new kernel, or if the lesson runs on this "
        "computer, first connect() and make the experiment again."
    )


def _has_ended(details: dict[str, Any]) -> bool:
    """Tell whether a run is over, with or without a tuned model."""
    return details["entity"]["status"]["state"] in ("completed", "failed", "error", "canceled")


def _show(polls: Iterable[dict[str, Any] | None], prefix: str = "") -> dict[str, Any]:
    """Show each poll of a run on one line, which is gone in the end.

    Args:
        polls: of the run.
        prefix: what the line begins with.

    Returns:
        The details of the last poll that was answered.
    """
    line, meter = ProgressLine(), _Meter()
    latest: dict[str, Any] = {}
    try:
        for details in polls:
            if details is None:
                line.show(say("Connection lost, trying again ..."))
                continue
            latest = details
            if not _has_ended(details):
                line.show(prefix + meter.text(details))
    finally:
        line.clear()
    return latest


class _Meter:
    """Turns the details of a run into one line of progress."""

    def __init__(self) -> None:
        self._started: tuple[float, float] | None = None

    def text(self, details: dict[str, Any], now: float | None = None) -> str:
        """Make the line.

        Args:
            details: of the run.
            now: seconds on any steady clock; for tests.
        """
        from tqdm import tqdm

        epoch, loss, done = progress_of(details)
        if done is None:
            return say("State of the run: {state} ...", state=details["entity"]["status"]["state"])
        now = time.monotonic() if now is None else now
        if self._started is None:
            self._started = (now, done)
        since, first = self._started
        epochs = epochs_of(details) or "?"
        return str(
            tqdm.format_meter(
                n=done * 100,
                total=100,
                elapsed=now - since,
                initial=first * 100,
                ncols=100,
                prefix=say("Epoch {epoch} of {epochs}, loss {loss:.3f}", epoch=epoch, epochs=epochs, loss=loss),
                bar_format="{desc}: {percentage:3.0f}%|{bar}| " + say("{{remaining}} left"),
            )
        )


def progress_of(details: dict[str, Any]) -> tuple[int, float, float | None]:
    """Read the progress out of a run's details.

    Args:
        details: as the SDK gives them, with or without metrics.

    Returns:
        Current epoch, counted from 1; latest loss; the part of the run that is done, ``None`` before the first
        metric. A service that does not report the part is taken at its epochs.
    """
    metrics = metrics_of(details)
    if not metrics:
        return 1, float("nan"), None
    epoch = _latest(metric.epoch for metric in metrics) or 0
    loss = _latest(metric.loss for metric in metrics)
    done = _latest(metric.progress for metric in metrics)
    if done is None:
        done = min(1.0, epoch / (epochs_of(details) or epoch + 1))
    return epoch + 1, float("nan") if loss is None else loss, done


def _latest(values: Iterable[Number | None]) -> Number | None:
    """Give the last value that is known."""
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def _summary(details: dict[str, Any]) -> str:
    """Say in one line how a run ended."""
    losses = [metric.loss for metric in metrics_of(details) if metric.loss is not None]
    if not losses:
        return say("The tuning run is completed.")
    return say(
        "The tuning run is completed: {epochs} epochs, loss {first:.3f} at the start and {last:.3f} at the end.",
        epochs=epochs_of(details) or "?",
        first=losses[0],
        last=losses[-1],
    )


def _rows_left_out(details: dict[str, Any]) -> str | None:
    """Say how many rows were left out, and what to do about it; ``None`` if the service does not say that any were."""
    entity = details["entity"]
    counts = RowCounts.parse(entity["status"].get("rows"))
    if counts is None:
        return None
    values = asdict(counts) | {"most": entity["prompt_tuning"]["max_input_tokens"]}
    return paragraph(*(say(sentence, **values) for sentence in counts.sentences()))


def _nothing_learnt(details: dict[str, Any]) -> str | None:
    """Say that nothing shows that the run has learnt, and why that may be; ``None`` if the service does not say so."""
    verdict = Verdict.parse(details["entity"]["status"].get("verdict"))
    if verdict is None:
        return None
    return paragraph(*(say(sentence, **asdict(verdict)) for sentence in verdict.sentences()))


def _replaced(details: dict[str, Any]) -> str | None:
    """Say which settings the local runtime tuned with instead of those asked for; ``None`` if it tuned as asked."""
    settings = details["entity"].get("local_runtime")
    if not isinstance(settings, dict) or not all(isinstance(settings.get(name), dict) for name in ("asked", "used")):
        return None
    asked, used = (
        ", ".join(f"{name}={value}" for name, value in settings[which].items()) for which in ("asked", "used")
    )
    return say(
        "Tuned with {used}, which suit the model that is really there, instead of {asked}.", used=used, asked=asked
    )


def _reason(status: dict[str, Any]) -> str:
    """Find the reason that the service gives for a failure."""
    failure = status.get("failure")
    errors = failure.get("errors") if isinstance(failure, dict) else failure
    listed = errors if isinstance(errors, list) else [errors]
    said = [str(error.get("message") if isinstance(error, dict) else error) for error in listed if error]
    message = status.get("message") or {}
    text = message.get("text") if isinstance(message, dict) else message
    return " ".join(said) or str(text or "")


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
