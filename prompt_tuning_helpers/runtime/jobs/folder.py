"""What the runtime alone does with a job's folder: it makes it, and notes which process works there."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import psutil

from ..._files import AtomicFile, make_private_folder, sync_folder, write_file
from ...engine.errors import EngineError
from ...engine.job_folder import Job
from ..process.processes import KnownProcess

TRAINING_DATA = "training_data.json"
PROCESS = "process.json"


def make_job_folder(folder: Path, job: Job) -> None:
    """Make the folder of a new job.

    Args:
        folder: where; its parent is there.
        job: what to do. Its training file is linked, so that deleting the asset does not pull it from under the job.

    Raises:
        OSError: if it cannot be written.
    """
    make_private_folder(folder)
    data = folder / TRAINING_DATA
    try:
        os.link(job.data, data)
    except OSError:
        with job.data.open("rb") as source, AtomicFile(data) as target:
            shutil.copyfileobj(source, target)
    replace(job, data=data).write(folder)
    sync_folder(folder.parent)


def find_training_data(folder: Path) -> None:
    """Let a job find its training file where its folder lies now: a state folder may have been moved since.

    Raises:
        OSError: if the job cannot be written.
    """
    data = folder / TRAINING_DATA
    try:
        job = Job.read(folder)
    except EngineError:
        return  # the job's process says what is wrong
    if job.data != data and data.is_file():
        replace(job, data=data).write(folder)


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
