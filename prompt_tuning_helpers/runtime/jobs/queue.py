"""Runs trainings: one at a time, each in a process of its own that can be interrupted and resumed."""

import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from ..._files import sync_folder
from ...engine.job_folder import LOG, SOFT_PROMPT
from ..store.models import Models
from ..store.trainings import Training, Trainings
from .folder import PROCESS, find_training_data, record_process
from .outcome import Completed, Failed, Gone, Interrupted, Outcome, outcome_of, unexplained
from .reports import Report, Reports

logger = logging.getLogger(__name__)

# A training whose process was killed resumes from its checkpoint; one whose processes are killed again and again
# without getting any further will not finish.
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
        self._reports = Reports()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._current: tuple[str, subprocess.Popen[bytes]] | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def folder(self, training_id: str) -> Path:
        """Give a job's folder; the id is one of ours."""
        return self._folder / training_id

    def report(self, training_id: str) -> Report:
        """Give what a job has reported so far."""
        return self._reports.read(self.folder(training_id))

    def start(self) -> None:
        """Resume what an earlier run left unfinished, and wait for more."""
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
        self._reports.forget(self.folder(training_id))

    def stop(self) -> None:
        """End the running process, gently if its folder is still there; its training resumes at the next start."""
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
                logger.exception("The job queue met an error and tries again")
                self._wake.wait(5)

    def _run(self, training: Training) -> None:
        """Have processes work on a training until it has come to an end, or this runtime stops."""
        code: int | None = None
        in_vain, furthest = 0, self._steps(training)
        while True:
            outcome = self._outcome(training, code)
            if self._is_lost():
                return
            if not isinstance(outcome, Interrupted):
                self._record(training, outcome)
                return
            if self._stopping:
                self._trainings.wait_again(training.id)
                return
            if code is not None and in_vain >= TRIES_WITHOUT_PROGRESS:
                self._record(training, unexplained(self.folder(training.id), code))
                return
            code = self._run_process(training)
            if code is None:
                return
            logger.info("Training %s: its process ended with %s", training.id, code)
            steps = self._steps(training)
            in_vain = 0 if steps > furthest else in_vain + 1
            furthest = max(furthest, steps)

    def _outcome(self, training: Training, code: int | None) -> Outcome:
        return outcome_of(
            self._trainings.find(training.id),
            self.folder(training.id),
            self._models.soft_prompt(training.model_id),
            None if self._stopping else code,
        )

    def _record(self, training: Training, outcome: Outcome) -> None:
        """Record what came of a training."""
        match outcome:
            case Completed():
                self._complete(training)
            case Failed(code, message):
                self._trainings.fail(training.id, code, message)
            case Gone():
                self.remove(training.id)

    def _complete(self, training: Training) -> None:
        """Move a model to its place and record it; remove it if its training was deleted or canceled meanwhile."""
        model = self._models.soft_prompt(training.model_id)
        if not model.is_dir():
            try:
                (self.folder(training.id) / SOFT_PROMPT).rename(model)
            except FileNotFoundError:
                if self._trainings.find(training.id) is None:  # it was deleted meanwhile
                    return
                raise
            sync_folder(model.parent)
        if not self._trainings.complete(training):
            shutil.rmtree(model, ignore_errors=True)

    def _steps(self, training: Training) -> int:
        """Count the steps that a training's processes have reported."""
        return len(self.report(training.id).metrics)

    def _run_process(self, training: Training) -> int | None:
        """Run a process until it ends; give its exit code, or ``None`` if it was not to be started."""
        folder = self.folder(training.id)
        with self._lock:
            if self._stopping:
                return None
            if not self._trainings.start(training.id) and not self._is_running(training):
                return None
            find_training_data(folder)
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


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
