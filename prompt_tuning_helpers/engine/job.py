"""A tuning job in a folder of its own, so that a process that is killed can be followed by one that goes on.

``job.json`` says what to do; the job appends to ``metrics.jsonl``, keeps ``checkpoint.safetensors``, and leaves
``soft_prompt/`` (a PEFT adapter) or ``failure.json``.
"""

import errno
import json
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from . import models, rows, soft_prompt
from .errors import EngineError
from .memory import keep_freed_memory
from .settings import TuningSettings, check_settings

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
        """Read ``job.json``."""
        content = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        settings = TuningSettings(**content["settings"])
        return cls(content["model"], content["model_id"], Path(content["data"]), settings)

    def write(self, folder: Path) -> None:
        """Write ``job.json``; the folder is made where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self) | {"data": str(self.data)}
        _write_json(folder / "job.json", content)


def run_job(folder: Path, show: bool = False) -> int:
    """Do the job in a folder, from its last checkpoint if there is one.

    A second process on the same folder waits for the first. SIGTERM ends the job after the update it is in, with a
    checkpoint. Under ``torchrun`` several processes do one job together.

    Args:
        folder: holds ``job.json``.
        show: whether to print the loss of each epoch.

    Returns:
        The process's exit code: 0 when the soft prompt is there, 1 when the job failed, 3 when it was stopped, 120
        when it failed and could not even write down why.
    """
    from safetensors import SafetensorError

    from .tune import TuningStopped

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    keep_freed_memory()
    rank = _join_group()
    with FileLock(folder / f".lock-{rank}"):
        if (folder / "soft_prompt").is_dir():
            return DONE
        (folder / "failure.json").unlink(missing_ok=True)
        try:
            _tune(folder, Job.read(folder), rank, lambda: stopping, show)
        except TuningStopped:
            return STOPPED
        except EngineError as error:
            return _fail(folder, error.code, error.message)
        except FloatingPointError as error:
            advice = "Lower learning_rate; the soft prompt has left the region where the model can compute."
            return _fail(folder, "training_diverged", f"Tuning diverged: {error}. {advice}")
        except (MemoryError, OSError, RuntimeError, SafetensorError) as error:
            logging.getLogger(__name__).exception("The job failed")
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return _fail(folder, "training_failed", f"Tuning stopped: {reason}. {_advice(error)}")
    return DONE


def _tune(folder: Path, job: Job, rank: int, should_stop: Any, show: bool) -> None:
    import torch.distributed as dist

    from .tune import Progress, tune
    from .updater import checkpointed_updates

    check_settings(job.settings)
    examples = rows.read_rows(job.data)
    loaded = models.load(job.model)
    loaded.choose_threads()
    data = rows.encode_rows(examples, loaded.tokenizer, job.settings)
    longest = max(len(inputs) + len(outputs) for inputs, outputs in data.rows) + len(data.shared)
    if longest + job.settings.num_virtual_tokens > loaded.max_length:
        raise EngineError(
            f"The longest row has {longest} tokens and the soft prompt {job.settings.num_virtual_tokens}, but the "
            f"model attends to at most {loaded.max_length}. Lower max_input_tokens or num_virtual_tokens."
        )
    prompt = soft_prompt.initialise(loaded.model, models.fetch(job.model), job.settings)
    checkpoint = folder / "checkpoint.safetensors"
    metrics = _Metrics(folder / "metrics.jsonl", checkpointed_updates(checkpoint)) if rank == 0 else None

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


class _Metrics:
    """The loss after each update, a line of JSON each; an epoch has two lines at least, which its duration needs."""

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        kept = path.with_suffix(".new")
        kept.write_text("".join(line + "\n" for line in _lines_up_to(path, done)), encoding="utf-8")
        kept.replace(path)
        self._started = _now()

    def append(self, progress: Any) -> None:
        record = {
            "timestamp": _now(),
            "iteration": progress.update,
            "epoch": progress.epoch,
            "loss": progress.loss,
            "progress": progress.update / progress.updates,
        }
        records = [record]
        if progress.updates_per_epoch == 1:
            records.insert(0, record | {"timestamp": self._started})
        self._started = record["timestamp"]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(r) + "\n" for r in records))


def _lines_up_to(path: Path, update: int) -> list[str]:
    """The metrics of the first updates, for a run that goes on from there."""
    lines: list[str] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["iteration"] > update:
                    break
            except ValueError:
                break  # the process was killed while writing this line
            lines.append(line)
    return lines


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


def _advice(error: Exception) -> str:
    """What to do about an error that the machine, not the data, is to blame for."""
    if any(text in str(error) for text in DISK_FULL):
        return "The disk is full: make room, then start it again."
    if isinstance(error, MemoryError) or "memory" in str(error):
        return "Choose a smaller batch_size or max_input_tokens, or free memory."
    return "The log of the job says more."


def _fail(folder: Path, code: str, message: str) -> int:
    with suppress(OSError):
        print(message, flush=True)
    try:
        _write_json(folder / "failure.json", {"code": code, "message": message})
    except OSError:
        return CANNOT_WRITE
    return FAILED


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(f".new-{os.getpid()}")  # of several processes, each has its own
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    soft_prompt.sync(temporary)
    temporary.replace(path)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
