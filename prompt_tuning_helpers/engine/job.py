"""A tuning job in a folder of its own, so that a process that is killed can be followed by one that goes on.

``job.json`` says what to do; the job appends to ``metrics.jsonl``, keeps ``checkpoint.safetensors``, and leaves
``soft_prompt/`` (a PEFT adapter) or ``failure.json``.
"""

import errno
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from . import loading, rows, soft_prompt, sources
from .errors import EngineError, JobError, UnusableSettings, reason_of
from .memory import keep_freed_memory
from .metrics import Metrics
from .settings import TuningSettings, check_settings

if TYPE_CHECKING:
    from .loading import LoadedModel

logger = logging.getLogger(__name__)

# Exit codes. The last is also Python's own for output, here the job's log, that cannot be written out.
DONE, FAILED, STOPPED, CANNOT_WRITE = 0, 1, 3, 120
DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


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
            UnusableSettings: for settings that no run could work with.
        """
        path = folder / "job.json"
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
        """Write ``job.json``; the folder is made where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self) | {"data": str(self.data)}
        _write_json(folder / "job.json", content)


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


def run_job(folder: Path, show: bool = False, parent: int | None = None) -> int:
    """Do the job in a folder, from its last checkpoint if there is one.

    A second process on the same folder waits for the first. SIGTERM ends the job after the update it is in, with a
    checkpoint, and so does the end of the parent, if it is named. Under ``torchrun`` several processes do one job
    together.

    Args:
        folder: holds ``job.json``.
        show: whether to print the loss of each epoch.
        parent: number of the process that started this one, if the job is not to outlive it.

    Returns:
        The process's exit code: 0 when the soft prompt is there, 1 when the job failed, 3 when it was stopped, 120
        when it failed and could not even write down why.
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
        return _run(folder, should_stop, show)
    except Exception as error:  # whatever it is, whoever waits for this job must learn of it
        return _fail(folder, *_describe(error))


def _run(folder: Path, should_stop: Callable[[], bool], show: bool) -> int:
    from .tune import TuningStopped

    rank = _join_group()
    with FileLock(folder / f".lock-{rank}"):
        if (folder / "soft_prompt").is_dir():
            return DONE
        (folder / "failure.json").unlink(missing_ok=True)
        try:
            _tune(folder, Job.read(folder), rank, should_stop, show)
        except TuningStopped:
            return STOPPED
    return DONE


def _tune(folder: Path, job: Job, rank: int, should_stop: Callable[[], bool], show: bool) -> None:
    import torch.distributed as dist

    from .tune import Progress, tune, updates_per_epoch

    examples = rows.read_rows(job.data)
    _check_going_on(should_stop)
    loaded = loading.load(job.model)
    _check_going_on(should_stop)
    loaded.choose_threads()
    data = rows.encode_rows(examples, loaded.tokenizer, job.settings)
    _check_tokens(loaded, data, job.settings)
    _check_going_on(should_stop)
    prompt = soft_prompt.initialise(loaded.model, sources.fetch(job.model), job.settings)
    checkpoint = folder / "checkpoint.safetensors"
    updates = job.settings.num_epochs * updates_per_epoch(len(data.rows), job.settings)
    done = _usable_updates(checkpoint, tuple(prompt.shape), updates, rank)
    metrics = Metrics(folder / "metrics.jsonl", done) if rank == 0 else None

    def report(progress: Progress) -> None:
        if metrics:
            metrics.append(progress)
        if show and rank == 0 and progress.update % progress.updates_per_epoch == 0:
            print(f"epoch {progress.epoch + 1}  update {progress.update}/{progress.updates}  loss {progress.loss:.4f}")

    tuned = tune(loaded.model, prompt, data, job.settings, checkpoint, report, should_stop)
    if rank == 0:
        soft_prompt.save(folder / "soft_prompt", tuned, job.model_id, job.settings)
        checkpoint.unlink(missing_ok=True)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _check_going_on(should_stop: Callable[[], bool]) -> None:
    """Stop while loading; of several processes none may leave the others, so they stop together after an update."""
    import torch.distributed as dist

    from .tune import TuningStopped

    if not dist.is_initialized() and should_stop():
        raise TuningStopped


def _check_tokens(loaded: "LoadedModel", data: rows.EncodedRows, settings: TuningSettings) -> None:
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
    """How many updates a checkpoint has behind it; one that cannot be used is set aside, and the run starts anew."""
    import torch.distributed as dist

    from .trainer import UnusableCheckpoint, read_checkpoint

    try:
        read = read_checkpoint(checkpoint, shape, updates)
        done, problem = read.update if read else 0, None
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
    """Join the processes that ``torchrun`` started, if it did; this one's number."""
    if "RANK" not in os.environ:
        return 0
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank()


def _describe(error: Exception) -> tuple[str, str]:
    """A code and a message for what ended a job."""
    if isinstance(error, EngineError):
        return error.kind, error.message
    if isinstance(error, FloatingPointError):
        advice = "Lower learning_rate; the soft prompt has left the region where the model can compute."
        return "training_diverged", f"Tuning diverged: {error}. {advice}"
    if not isinstance(error, OSError):  # which says itself what it is about
        logger.error("The job failed", exc_info=error)
    return "training_failed", f"Tuning stopped: {reason_of(error).rstrip('.')}. {_advice(error)}"


def _advice(error: Exception) -> str:
    """What to do about an error that the machine, not the data, is to blame for."""
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
        _write_json(folder / "failure.json", {"code": code, "message": message})
    except OSError:
        return CANNOT_WRITE
    return FAILED


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(f".new-{os.getpid()}")  # of several processes, each has its own
    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")  # ASCII: a path need not be valid Unicode
    soft_prompt.sync(temporary)
    temporary.replace(path)
