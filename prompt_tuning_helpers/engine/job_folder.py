"""The job contract: what a tuning job's folder holds, and how the process that does the job ends.

Whoever wants a soft prompt tuned writes ``job.json``. The process that does the job counts the rows in ``rows.json``,
appends to ``metrics.jsonl``, keeps ``checkpoint.safetensors`` to resume from and in ``epochs/`` the soft prompt as it
was at the end of each epoch (``epochs.py``), and leaves ``soft_prompt/`` or ``failure.json``. If nothing shows that it
has learnt, ``verdict.json`` says so (``verdict.py``). Engine, runtime and stand-ins for the engine share this module,
which imports no torch.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .._files import write_file
from .errors import JobError, reason_of
from .settings import TuningSettings, check_settings

JOB = "job.json"
ROW_COUNTS = "rows.json"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.safetensors"
SOFT_PROMPT = "soft_prompt"
FAILURE = "failure.json"
LOG = "job.log"

# Exit codes: the soft prompt is there, the job failed, it was interrupted and can be resumed, it failed and could not
# even write down why. The last is also Python's own for output, here the job's log, that cannot be written.
DONE, FAILED, STOPPED, CANNOT_WRITE = 0, 1, 3, 120

LEFT_OUT = (
    "{left_out} of {rows} rows were left out: longer than max_input_tokens={most} with the verbalizer. "
    "Raise max_input_tokens, or shorten them."
)
HALF_LEFT_OUT = "That is half of them or more: nothing was learnt from these."
LONGEST_LOG_LINE = 300
LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Job:
    """What a job folder's ``job.json`` holds.

    Args:
        model: source of the base model.
        model_id: the name that the saved adapter gives its base model.
        data: the training file.
        settings: of the run.
    """

    model: str
    model_id: str
    data: Path
    settings: TuningSettings

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read ``job.json``.

        Raises:
            JobError: when it is missing, damaged, or of a newer version.
        """
        path = folder / JOB
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(path, reason_of(error)) from error
        _check_fields(path, content, "field", {field.name for field in fields(cls)})
        values = content["settings"]
        required = {field.name for field in fields(TuningSettings) if field.default is MISSING}
        _check_fields(path, values, "setting", required, {field.name for field in fields(TuningSettings)})
        for name in ("model", "model_id", "data"):
            if not isinstance(content[name], str):
                raise _unreadable(path, f"{name} is not a text")
        settings = TuningSettings(**values)
        check_settings(settings)
        return cls(content["model"], content["model_id"], Path(content["data"]), settings)

    def write(self, folder: Path) -> None:
        """Write ``job.json`` atomically; make the folder where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / JOB, asdict(self) | {"data": str(self.data)})


@dataclass(frozen=True)
class RowCounts:
    """The rows of a job's training file.

    Args:
        rows: in the file.
        left_out: those that are longer than ``max_input_tokens``, on which nothing is tuned.
        cost_of_guessing: the loss of giving each output as often as it occurs (``verdict.py``), in nats per token;
            ``None`` where outputs are free texts, or where an earlier version counted.
    """

    rows: int
    left_out: int
    cost_of_guessing: float | None = None

    @classmethod
    def read(cls, folder: Path) -> "RowCounts | None":
        """Read a job's counts; ``None`` before the job has counted, and if it never said."""
        return cls.parse(read_object(folder / ROW_COUNTS))

    @classmethod
    def parse(cls, content: Any) -> "RowCounts | None":
        """Read the counts from what JSON holds; ``None`` where it holds none."""
        if not isinstance(content, Mapping):
            return None
        rows, left_out, cost = (content.get(name) for name in ("rows", "left_out", "cost_of_guessing"))
        if not isinstance(rows, int) or not isinstance(left_out, int):
            return None
        return cls(rows, left_out, cost if isinstance(cost, float) and math.isfinite(cost) else None)

    def write(self, folder: Path) -> None:
        """Write the counts atomically."""
        write_json(folder / ROW_COUNTS, asdict(self))

    def notice(self, most: int) -> str | None:
        """Say how many rows were left out and what to do about it; ``None`` if none were.

        Args:
            most: the run's ``max_input_tokens``.
        """
        text = " ".join(self.sentences())
        return text.format(left_out=self.left_out, rows=self.rows, most=most) if text else None

    def sentences(self) -> tuple[str, ...]:
        """Give the sentences that say it, with marks for the values; none if no row was left out."""
        if not self.left_out:
            return ()
        return (LEFT_OUT, HALF_LEFT_OUT) if 2 * self.left_out >= self.rows else (LEFT_OUT,)


@dataclass(frozen=True)
class JobFailure:
    """Why a job failed.

    Args:
        code: a short machine-readable name.
        message: one or two sentences for a person: what went wrong, and what to do about it.
    """

    code: str
    message: str

    @classmethod
    def read(cls, folder: Path) -> "JobFailure | None":
        """Read the failure that a job's last process noted, if it did."""
        content = read_object(folder / FAILURE)
        if not {"code", "message"} <= content.keys():
            return None
        return cls(str(content["code"]), str(content["message"]))

    def write(self, folder: Path) -> None:
        """Write the failure atomically."""
        write_json(folder / FAILURE, asdict(self))


def is_done(folder: Path) -> bool:
    """Tell whether a job's soft prompt is there; it appears atomically."""
    return (folder / SOFT_PROMPT).is_dir()


def last_log_line(folder: Path) -> str:
    """Give the last thing that a job's process said, cut to 300 characters; empty if it said nothing."""
    try:
        lines = (folder / LOG).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:LONGEST_LOG_LINE] if lines else ""


def _unreadable(path: Path, reason: str) -> JobError:
    return JobError(f"{path} is damaged: {reason.rstrip('.')}. Restore it, or start a new job in another folder.")


def _check_fields(path: Path, values: Any, kind: str, required: set[str], known: set[str] | None = None) -> None:
    if not isinstance(values, dict):
        raise _unreadable(path, f"it has no {kind}s")
    if unknown := sorted(values.keys() - (known or required)):
        raise JobError(
            f"{path} was written by a newer version: unknown {kind} {unknown[0]!r}. Update prompt-tuning-helpers, or "
            "start a new job in another folder."
        )
    if missing := sorted(required - values.keys()):
        raise _unreadable(path, f"the {kind} {missing[0]!r} is missing")


def read_object(path: Path) -> dict[str, Any]:
    """Read a file's JSON object; an empty one for a file that is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file's JSON object atomically."""
    write_file(path, json.dumps(content, indent=2).encode())  # ASCII: a path need not be valid Unicode
