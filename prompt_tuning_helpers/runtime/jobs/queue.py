"""Runs trainings: one at a time, each in a process of its own that can be ended and taken up again."""

import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from ..._files import sync_folder
from ..store.models import Models
from ..store.trainings import Training, Trainings
from .folder import (
    CANNOT_WRITE,
    LOG,
    PROCESS,
    SOFT_PROMPT,
    STOPPED,
    last_log_line,
    read_failure,
    read_metrics,
    record_process,
)

logger = logging.getLogger(__name__)

# A process that was killed goes on from its checkpoint; one that is killed again and again without getting
# any further will not finish.
TRIES_WITHOUT_PROGRESS = 3
PATIENCE = 20.0


class Jobs:
    """The queue of trainings, and the thread that works on it.

    Args:
        trainings: the records.
        models: where tuned models go.
        folder: holds a folder per job.
        command: gives the command line of a job's process, which is to end when this process does.
        is_lost: tells whether the folder was taken away; what happens to a job then says nothing about its training.
    """

    def __init__(
        self,
        trainings: Trainings,
        models: Models,
        folder: Path,
        command: Callable[[Path], list[str]],
        is_lost: Callable[[], bool],
    ) -> None:
        self._trainings = trainings
        self._models = models
        self._folder = folder
        self._command = command
        self._is_lost = is_lost
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._current: tuple[str, subprocess.Popen[bytes]] | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def folder(self, training_id: str) -> Path:
        """A job's folder; the id is one of ours."""
        return self._folder / training_id

    def start(self) -> None:
        """Take up what an earlier run left unfinished, and wait for more."""
        self._trainings.wait_all_again()
        self._thread.start()

    def wake(self) -> None:
        """Say that a training may be waiting."""
        self._wake.set()

    def end(self, training_id: str) -> None:
        """End the process of a training that was canceled or deleted, if it has one, and wait until it is gone."""
        with self._lock:
            current = self._current
        if current is not None and current[0] == training_id:
            _end_process(current[1])

    def remove(self, training_id: str) -> None:
        """Remove a deleted training's files."""
        self.end(training_id)
        shutil.rmtree(self.folder(training_id), ignore_errors=True)

    def stop(self) -> None:
        """End the running process, gently if its folder is still there; its training goes on at the next start."""
        with self._lock:
            self._stopping = True
            current = self._current
        self._wake.set()
        if current is not None:
            if self._is_lost():
                current[1].kill()
            _end_process(current[1])
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def _work(self) -> None:
        while not self._stopping and not self._is_lost():
            # Cleared before looking, so that a training recorded after the look is not missed.
            self._wake.clear()
            try:
                training = self._trainings.next_waiting()
                if training is None:
                    self._wake.wait()
                else:
                    self._run(training)
            except Exception:
                # A full disk, say: the training stays as it is and is tried again.
                logger.exception("The job queue met an error and goes on")
                self._wake.wait(5)

    def _run(self, training: Training) -> None:
        folder = self.folder(training.id)
        in_vain, furthest = 0, len(read_metrics(folder))
        while not self._settle(training):
            code = self._run_process(training)
            if code is None or self._is_lost():
                return
            done = len(read_metrics(folder))
            in_vain = 0 if done > furthest else in_vain + 1
            furthest = max(furthest, done)
            logger.info("Training %s: its process ended with %s", training.id, code)
            if self._stopping and not self._settle(training):
                self._trainings.wait_again(training.id)
                return
            # One that was told to end, but not by this server, is taken up again, too: at a machine's shutdown, for
            # instance, all processes are told at once.
            interrupted = code < 0 or code == STOPPED
            if (not interrupted or in_vain >= TRIES_WITHOUT_PROGRESS) and not self._settle(training):
                self._trainings.fail(training.id, *self._reason(training, code))
                return

    def _run_process(self, training: Training) -> int | None:
        """The process's exit code, or ``None`` if it was not to be started."""
        folder = self.folder(training.id)
        if not folder.is_dir():
            self._trainings.fail(training.id, "job_failed", "The job's folder is missing. Start the training again.")
            return None
        with self._lock:
            if self._stopping:
                return None
            if not self._trainings.start(training.id) and not self._is_running(training):
                return None
            with (folder / LOG).open("ab") as log:
                # A session of its own: Ctrl-C in the server's terminal is for the server, which ends the job gently.
                process = subprocess.Popen(
                    self._command(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._current = (training.id, process)
        try:
            record_process(folder, process.pid)
            return process.wait()
        finally:
            with self._lock:
                self._current = None
            if not self._is_lost():
                (folder / PROCESS).unlink(missing_ok=True)

    def _is_running(self, training: Training) -> bool:
        found = self._trainings.find(training.id)
        return found is not None and found.state == "running"

    def _settle(self, training: Training) -> bool:
        """Record the end of a training if it has come to one."""
        found = self._trainings.find(training.id)
        folder, model = self.folder(training.id), self._models.soft_prompt(training.model_id)
        if found is None or found.is_over:
            if found is None:
                shutil.rmtree(folder, ignore_errors=True)
            return True
        if (folder / SOFT_PROMPT).is_dir() or model.is_dir():
            # The model is moved before it is recorded; a start after a crash in between finds it and records it.
            if not model.is_dir():
                (folder / SOFT_PROMPT).rename(model)
                sync_folder(model.parent)
            if not self._trainings.complete(training):
                shutil.rmtree(model, ignore_errors=True)  # it was canceled or deleted meanwhile
            return True
        failure = read_failure(folder)
        if failure is not None:
            self._trainings.fail(training.id, failure["code"], failure["message"])
            return True
        return False

    def _reason(self, training: Training, code: int) -> tuple[str, str]:
        folder = self.folder(training.id)
        if code == CANNOT_WRITE:
            reason = f"The tuning process could not write to {folder}: the disk is full or cannot be written."
            return "storage_full", f"{reason} Make room, then start the training again."
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = last_log_line(folder)
        hint = " The machine may be out of memory: choose a smaller batch_size." if code == -9 else ""
        message = f"The tuning process {how}{f' ({said})' if said else ''}.{hint} See its log: {folder / LOG}"
        return "job_failed", message


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
