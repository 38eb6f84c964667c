"""One update of a soft prompt: loss, gradient and optimizer, over one process or several."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from .causal_model import CausalModel, pack
from .errors import reason_of
from .rows import EncodedRows
from .settings import TuningSettings

# Rows of one update are computed together up to this many tokens; it bounds memory and is large enough for the
# matrix products to run at the machine's full rate.
MAX_PACKED_TOKENS = 2048
# A run has a few hundred updates, and the gradients of the first ones, before the model answers with labels at all,
# are many times as large as all that follow. With the usual 0.999 they would hold the step size down to the end.
BETAS = (0.9, 0.95)
MOMENTS = ("exp_avg", "exp_avg_sq")

Row = tuple[list[int], list[int]]


class Updater:
    """A soft prompt on its way, with its optimizer, Adam.

    Args:
        model: the frozen model.
        prompt: the soft prompt to start from, ``[P, H]``.
        data: the training rows.
        settings: learning rate and seed of the run.
    """

    def __init__(self, model: CausalModel, prompt: Tensor, data: EncodedRows, settings: TuningSettings) -> None:
        self._model = model
        self._rows = data.rows
        self._shared = model.embed(torch.tensor(data.shared, dtype=torch.long, device=prompt.device))
        self._prompt = torch.nn.Parameter(prompt.detach().clone())
        self._optimizer = torch.optim.Adam([self._prompt], lr=settings.learning_rate, betas=BETAS)
        self._peak = settings.learning_rate
        self._rank, self._world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    @property
    def prompt(self) -> Tensor:
        """The soft prompt as it stands, ``[P, H]``."""
        return self._prompt.detach()

    def update(self, indices: list[int], rate: float = 1.0) -> float:
        """Update the soft prompt once.

        In several processes (``torch.distributed``) each computes its share of the rows.

        Args:
            indices: the rows of this update.
            rate: share of the peak learning rate.

        Returns:
            Mean cross-entropy of the rows' labels before the update, in nats.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._peak * rate
        self._optimizer.zero_grad()
        labels = sum(len(self._rows[index][1]) for index in indices)
        prompt = self._prompt.to(self._shared.dtype)
        loss = torch.zeros((), device=prompt.device)
        for rows in _chunks([self._rows[index] for index in indices[self._rank :: self._world]]):
            packed = pack(rows, device=prompt.device)
            logits = self._model.label_logits(torch.cat([prompt, self._shared]), packed)
            part = torch.nn.functional.cross_entropy(logits, packed.labels, reduction="sum") / labels
            part.backward(inputs=[self._prompt])
            loss += part.detach()
        if self._world > 1:
            if self._prompt.grad is None:  # fewer rows than processes
                self._prompt.grad = torch.zeros_like(self._prompt)
            dist.all_reduce(self._prompt.grad)
            dist.all_reduce(loss)
        self._optimizer.step()
        return loss.item()

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes, so that all of them act on it together."""
        if self._world == 1:
            return flag
        flags = torch.tensor(float(flag), device=self._shared.device)
        dist.all_reduce(flags)
        return flags.item() > 0

    def save(self, path: Path, update: int) -> None:
        """Write a checkpoint, whole or not at all; of several processes, the first writes it.

        Args:
            path: the file.
            update: how many updates there have been.
        """
        from safetensors.torch import save

        if self._rank != 0:
            return
        moments = {name: self._optimizer.state[self._prompt][name].cpu() for name in MOMENTS}
        tensors = {"prompt": self.prompt.cpu(), **moments}
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(save(tensors, metadata={"update": str(update)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def restore(self, path: Path) -> int:
        """Go on from a checkpoint; how many updates it has behind it, 0 when there is none.

        Raises:
            UnusableCheckpoint: when it is damaged or another run's.
        """
        checkpoint = read_checkpoint(path, self._prompt.shape)
        if checkpoint is None:
            return 0
        self._prompt.data.copy_(checkpoint.tensors["prompt"])
        moments = {name: checkpoint.tensors[name].to(self._prompt.device) for name in MOMENTS}
        self._optimizer.state[self._prompt] = {"step": torch.tensor(float(checkpoint.update)), **moments}
        return checkpoint.update


@dataclass(frozen=True)
class Checkpoint:
    """A run's state after an update.

    Args:
        update: how many updates there have been.
        tensors: the soft prompt and the optimizer's moments.
    """

    update: int
    tensors: dict[str, Tensor]


class UnusableCheckpoint(ValueError):
    """A checkpoint that is damaged or another run's; the message says what is wrong with it."""


def read_checkpoint(path: Path, shape: Sequence[int], updates: float = math.inf) -> Checkpoint | None:
    """Read a checkpoint; ``None`` when there is none.

    Args:
        path: the file.
        shape: of the soft prompt.
        updates: in the whole run.

    Raises:
        UnusableCheckpoint: when it is damaged or another run's.
    """
    from safetensors import safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            update = int(file.metadata()["update"])
            tensors = {name: file.get_tensor(name) for name in ("prompt", *MOMENTS)}
    except Exception as error:  # the file may hold anything, and each library has its own errors for it
        raise UnusableCheckpoint(reason_of(error)) from error
    if not 1 <= update <= updates:
        raise UnusableCheckpoint(f"it is of update {update}, which this run does not have")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(shape) or tensor.dtype != torch.float32:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise UnusableCheckpoint(f"its {name} is {found}, not float32 of shape {tuple(shape)}")
        if not tensor.isfinite().all() or (name == "exp_avg_sq" and (tensor < 0).any()):
            raise UnusableCheckpoint(f"its {name} has values that no update leaves")
    return Checkpoint(update, tensors)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    """Groups of rows of similar length, each within the limit of tokens once padded to its longest row."""
    chunk: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row[0]) + len(row[1])):
        if chunk and (len(chunk) + 1) * (len(row[0]) + len(row[1])) > MAX_PACKED_TOKENS:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk
