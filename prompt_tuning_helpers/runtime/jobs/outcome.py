"""What came of a training once its process has ended, told from what is on disk; nothing is changed here."""

from dataclasses import dataclass
from pathlib import Path

from ...engine.job_folder import CANNOT_WRITE, LOG, STOPPED, JobFailure, is_done, last_log_line
from ..store.trainings import Training

SIGKILL = 9  # also on Windows, whose signal module has none


@dataclass(frozen=True)
class Completed:
    """The soft prompt is there."""


@dataclass(frozen=True)
class Failed:
    """The training cannot be completed.

    Args:
        code: a short machine-readable name.
        message: why, and what to do about it.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Interrupted:
    """There is more to do: no process has begun yet, or the last one was told to stop, or was killed."""


@dataclass(frozen=True)
class Over:
    """The training has its end recorded already: it was canceled, say."""


@dataclass(frozen=True)
class Gone:
    """The training was deleted."""


Outcome = Completed | Failed | Interrupted | Over | Gone


def outcome_of(training: Training | None, folder: Path, model: Path, code: int | None) -> Outcome:
    """Tell what came of a training.

    Args:
        training: as it is recorded now; ``None`` if it was deleted.
        folder: of its job.
        model: the place of its tuned model.
        code: how its process ended; ``None`` if none has run, or if it was this runtime that ended it.
    """
    if training is None:
        return Gone()
    if training.is_over:
        return Over()
    # The model is moved before it is recorded: after a crash in between it is in its place already.
    if is_done(folder) or model.is_dir():
        return Completed()
    if not folder.is_dir():
        return Failed("job_failed", "The job's folder is missing. Start the training again.")
    if failure := JobFailure.read(folder):
        return Failed(failure.code, failure.message)
    # A process that was told to stop, but not by this runtime, is followed by another, too: at a machine's shutdown,
    # for instance, all processes are told at once.
    if code is None or code < 0 or code == STOPPED:
        return Interrupted()
    return unexplained(folder, code)


def unexplained(folder: Path, code: int) -> Failed:
    """Make out a failure from how a process ended that did not explain itself.

    Args:
        folder: of the job.
        code: how its process ended.
    """
    if code == CANNOT_WRITE:
        reason = f"The tuning process could not write to {folder}: the disk is full or cannot be written."
        return Failed("storage_full", f"{reason} Make room, then start the training again.")
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = last_log_line(folder)
    hint = " The machine may be out of memory: choose a smaller batch_size." if code == -SIGKILL else ""
    message = f"The tuning process {how}{f' ({said})' if said else ''}.{hint} See its log: {folder / LOG}"
    return Failed("job_failed", message)
