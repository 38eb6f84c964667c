"""How a tuning run ended, in words."""

from dataclasses import asdict
from typing import Any

from ._metrics import epochs_of, metrics_of
from .engine.job_folder import RowCounts
from .engine.verdict import Verdict
from .i18n import paragraph, say


def has_ended(details: dict[str, Any]) -> bool:
    """Tell whether a run is over, with or without a tuned model."""
    return details["entity"]["status"]["state"] in ("completed", "failed", "error", "canceled")


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


def _reason(status: dict[str, Any]) -> str:
    """Find the reason that the service gives for a failure."""
    failure = status.get("failure")
    errors = failure.get("errors") if isinstance(failure, dict) else failure
    listed = errors if isinstance(errors, list) else [errors]
    said = [str(error.get("message") if isinstance(error, dict) else error) for error in listed if error]
    message = status.get("message") or {}
    text = message.get("text") if isinstance(message, dict) else message
    return " ".join(said) or str(text or "")


def how_it_went(details: dict[str, Any]) -> list[str]:
    """Say what came of a completed run, and what should be known of it: a line each.

    Args:
        details: of the run, as the SDK gives them.
    """
    notices = (_rows_left_out(details), _nothing_learnt(details), _replaced(details))
    return [_summary(details), *filter(None, notices)]


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
