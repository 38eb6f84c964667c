"""A tuning job's folder: written by the runtime, then the engine's process reads it and leaves its results there."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import psutil

from ..._files import AtomicFile, make_private_folder, sync_folder, write_file
from ...engine.metrics import read_metrics as read_records
from ..process.processes import KnownProcess

TRAINING_DATA = "training_data.json"
LOG = "job.log"
SOFT_PROMPT = "soft_prompt"
PROCESS = "process.json"

# How a job's process ends that was told to end, and one that could not write to its folder.
STOPPED = 3
CANNOT_WRITE = 120


def make_job_folder(folder: Path, job: dict[str, Any], data: Path) -> None:
    """Write a job's folder.

    Args:
        folder: where; its parent is there.
        job: what ``job.json`` says, but for the data's path.
        data: the training file; it is linked, so that deleting the asset does not pull it from under the job.
    """
    make_private_folder(folder)
    copy = folder / TRAINING_DATA
    try:
        os.link(data, copy)
    except OSError:
        with data.open("rb") as source, AtomicFile(copy) as target:
            shutil.copyfileobj(source, target)
    write_file(folder / "job.json", json.dumps({**job, "data": str(copy)}).encode())
    sync_folder(folder.parent)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The job's records so far, in order; a line that is being written is left out."""
    try:
        return read_records(folder / "metrics.jsonl")
    except OSError:
        return []


def read_failure(folder: Path) -> dict[str, str] | None:
    """Why the job could not be done, if it said so."""
    try:
        failure = json.loads((folder / "failure.json").read_text(encoding="utf-8"))
        return {"code": str(failure["code"]), "message": str(failure["message"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_log_line(folder: Path) -> str:
    """The last thing that the job's process said."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace")[-4000:].strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:300] if lines else ""


def record_process(folder: Path, pid: int) -> None:
    """Note which process works on the job, for a runtime that starts after this one was killed."""
    try:
        write_file(folder / PROCESS, json.dumps(KnownProcess.find(pid).to_record()).encode())
    except (psutil.Error, OSError):
        # The process is over already, or its folder was deleted: a note that is missing costs nothing but the time
        # in which a second process waits for the job's lock.
        return


def end_recorded_processes(jobs: Path, patience: float = 20.0) -> None:
    """End the processes that work on jobs for a runtime that is gone, gently at first."""
    for note in jobs.glob(f"*/{PROCESS}"):
        try:
            process = KnownProcess.from_record(json.loads(note.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not process.end(patience):
            process.kill(patience)
