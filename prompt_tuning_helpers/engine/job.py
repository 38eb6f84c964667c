"""Do a tuning job, whose folder ``job_folder.py`` describes, so that another process can resume it once interrupted."""

import errno
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from . import loading, rows, soft_prompt
from .epochs import MOST_KEPT, epoch_folder, forget_unfinished
from .errors import EngineError, UnusableSettings, reason_of
from .job_folder import (
    CANNOT_WRITE,
    CHECKPOINT,
    DONE,
    FAILED,
    FAILURE,
    METRICS,
    SOFT_PROMPT,
    STOPPED,
    Job,
    JobFailure,
    RowCounts,
    is_done,
)
from .memory import keep_freed_memory
from .metrics import MetricsReader, MetricsWriter
from .settings import Precision, TuningSettings
from .verdict import NEXT_STEP, VERDICT, Step, are_labels, cost_of_guessing, judge

if TYPE_CHECKING:
    from .loading import LoadedModel

logger = logging.getLogger(__name__)

DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def run_job(folder: Path, show: bool = False, parent: int | None = None, precision: Precision = Precision.AUTO) -> int:
    """Do the job in a folder; resume it from its last checkpoint if there is one.

    A second process on the same folder waits for the first. SIGTERM ends the job after the update it is in, with a
    checkpoint, and so does the end of the parent, if it is named. Under ``torchrun`` several processes do one job
    together.

    Args:
        folder: holds ``job.json``.
        show: whether to print the loss of each epoch.
        parent: number of the process that started this one, if the job is not to outlive it.
        precision: what the job multiplies in, by default bfloat16 where that is faster and close enough.

    Returns:
        The process's exit code: ``DONE``, ``FAILED``, ``STOPPED`` or ``CANNOT_WRITE``.
    """
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    def should_stop() -> bool:
        # Who loses its parent is given another one.
        return stopping or (parent is not None and os.getppid() != parent)

    signal.signal(signal.SIGTERM, stop)
    keep_freed_memory()
    try:
        return _run(folder, should_stop, show, precision)
    except Exception as error:  # whatever it is, whoever waits for this job must learn of it
        return _fail(folder, *_describe(error))


def _run(folder: Path, should_stop: Callable[[], bool], show: bool, precision: Precision) -> int:
    from .tune import TuningStopped

    rank = _join_group()
    with FileLock(folder / f".lock-{rank}"):
        if is_done(folder):
            return DONE
        (folder / FAILURE).unlink(missing_ok=True)
        try:
            _tune(folder, Job.read(folder), rank, should_stop, show, precision)
        except TuningStopped:
            return STOPPED
    return DONE


def _tune(folder: Path, job: Job, rank: int, should_stop: Callable[[], bool], show: bool, precision: Precision) -> None:
    import torch.distributed as dist

    from .precision import choose
    from .tune import Progress, steps_per_epoch, tune

    examples = rows.read_rows(job.data)
    _stop_if_asked(should_stop)
    loaded = loading.load(job.model)
    _stop_if_asked(should_stop)
    loaded.choose_threads()
    data = rows.encode_rows(examples, loaded.tokenizer, job.settings)
    if rank == 0:
        _report_rows(folder, len(examples), data, job.settings)
    check_tokens(loaded, data, job.settings)
    _stop_if_asked(should_stop)
    prompt = soft_prompt.initialise(loaded.model, loaded.tokenizer, job.settings)
    checkpoint = folder / CHECKPOINT
    per_epoch = steps_per_epoch(len(data.rows), job.settings)
    done = _usable_updates(checkpoint, tuple(prompt.shape), job.settings.num_epochs * per_epoch, rank)
    metrics = None
    if rank == 0:
        metrics = MetricsWriter(folder / METRICS, done)
        forget_unfinished(folder, done // per_epoch)

    def report(progress: Progress) -> None:
        if metrics is None:
            return
        metrics.append(progress.step, progress.epoch, progress.loss, progress.step / progress.steps)
        if progress.ends_epoch and progress.epoch < MOST_KEPT:
            soft_prompt.save(epoch_folder(folder, progress.epoch), progress.prompt, job.model_id, job.settings)
        if show and progress.ends_epoch:
            print(f"epoch {progress.epoch + 1}  step {progress.step}/{progress.steps}  loss {progress.loss:.4f}")

    def tell(message: str) -> None:
        if rank == 0:
            print(message, flush=True)

    with choose(loaded, prompt, data, job.settings, precision, tell):
        tuned = tune(loaded.model, prompt, data, job.settings, checkpoint, report, should_stop)
    if rank == 0:
        _report_verdict(folder, data, job.settings)
        soft_prompt.save(folder / SOFT_PROMPT, tuned, job.model_id, job.settings)
        checkpoint.unlink(missing_ok=True)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _report_rows(folder: Path, in_file: int, data: rows.EncodedRows, settings: TuningSettings) -> None:
    """Record how many rows there are, and what guessing their outputs costs; say so if some were left out."""
    outputs = [output for _, output in data.rows]
    cost = cost_of_guessing(range(len(outputs)), outputs) if are_labels(outputs) else None
    counts = RowCounts(in_file, in_file - len(data.rows), cost)
    counts.write(folder)
    if notice := counts.notice(settings.max_input_tokens):
        logger.warning("%s", notice)


def _report_verdict(folder: Path, data: rows.EncodedRows, settings: TuningSettings) -> None:
    """Say, and record, if nothing shows that the run has learnt."""
    from .tune import minibatches

    losses = {record.iteration: record.loss for record in MetricsReader(folder / METRICS).read()}
    steps = [
        Step(epoch, losses[number], indices)
        for number, (epoch, indices) in enumerate(minibatches(len(data.rows), settings), start=1)
        if number in losses
    ]
    verdict = judge(steps, [output for _, output in data.rows], settings.learning_rate)
    if verdict is None:
        (folder / VERDICT).unlink(missing_ok=True)
    else:
        verdict.write(folder)
        logger.warning("%s", verdict.text())


def _stop_if_asked(should_stop: Callable[[], bool]) -> None:
    """Stop while loading; of several processes none may leave the others, so they stop together after an update."""
    import torch.distributed as dist

    from .tune import TuningStopped

    if not dist.is_initialized() and should_stop():
        raise TuningStopped


def check_tokens(loaded: "LoadedModel", data: rows.EncodedRows, settings: TuningSettings) -> None:
    """Refuse what the model cannot read: too many tokens, or some that it has no embedding for."""
    longest = max(len(inputs) + len(outputs) for inputs, outputs in data.rows) + len(data.shared)
    if longest + settings.num_virtual_tokens > loaded.max_length:
        raise UnusableSettings(
            f"The longest row has {longest} tokens and the soft prompt {settings.num_virtual_tokens}, but the "
            f"model attends to at most {loaded.max_length}. Lower max_input_tokens or num_virtual_tokens."
        )
    loaded.check_tokens(data.shared)
    for inputs, outputs in data.rows:
        loaded.check_tokens(inputs)
        loaded.check_tokens(outputs)
    if settings.init_method == "text":
        tokens = rows.encode_inputs([str(settings.init_text)], loaded.tokenizer)[0]
        if not tokens:
            raise UnusableSettings(
                "init_text has no token that this model knows. Give another, or init_method 'random'."
            )
        loaded.check_tokens(tokens)


def _usable_updates(checkpoint: Path, shape: tuple[int, ...], updates: int, rank: int) -> int:
    """Count the updates that a checkpoint has behind it; set one aside that cannot be used, and start anew."""
    import torch.distributed as dist

    from .trainer import UnusableCheckpoint, read_checkpoint

    try:
        read = read_checkpoint(checkpoint, shape, updates)
        done, problem = read.step if read else 0, None
    except UnusableCheckpoint as error:
        done, problem = 0, error
    if dist.is_initialized():
        dist.barrier()  # all have read it
    if problem and rank == 0:
        aside = next(path for path in _names_aside(checkpoint) if not path.exists())
        checkpoint.rename(aside)
        logger.warning("The checkpoint cannot be used: %s. It is now %s; tuning starts anew.", problem, aside.name)
    if problem and dist.is_initialized():
        dist.barrier()  # it is out of the way
    return done


def _names_aside(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.stem}.damaged-{number}{path.suffix}") for number in count(1))


def _join_group() -> int:
    """Join the processes that ``torchrun`` started, if it did; give this one's number."""
    if "RANK" not in os.environ:
        return 0
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank()


def _describe(error: Exception) -> tuple[str, str]:
    """Give a code and a message for what ended a job."""
    if isinstance(error, EngineError):
        return error.kind, error.message
    if isinstance(error, FloatingPointError):
        advice = "Lower learning_rate; the soft prompt has left the region where the model can compute. " + NEXT_STEP
        return "training_diverged", f"Tuning diverged: {error}. {advice}"
    if not isinstance(error, OSError):  # which says itself what it is about
        logger.error("The job failed", exc_info=error)
    return "training_failed", f"Tuning stopped: {reason_of(error).rstrip('.')}. {_advice(error)}"


def _advice(error: Exception) -> str:
    """Say what to do about an error that the machine, not the data, is to blame for."""
    if any(text in str(error) for text in DISK_FULL):
        return "The disk is full: make room, then start it again."
    if isinstance(error, MemoryError) or "memory" in str(error):
        return "Choose a smaller batch_size or max_input_tokens, or free memory."
    if isinstance(error, OSError):
        return "Put that right, then start it again."
    return "The log of the job says more."


def _fail(folder: Path, code: str, message: str) -> int:
    with suppress(OSError, UnicodeError):
        print(message, flush=True)
    try:
        JobFailure(code, message).write(folder)
    except OSError:
        return CANNOT_WRITE
    return FAILED
