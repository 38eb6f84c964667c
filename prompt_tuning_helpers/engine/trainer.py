"""The training steps of a soft prompt: loss, gradient and optimizer, in one process or several."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from .._files import remove_temporary_files, write_file
from .causal_model import CausalModel, pack
from .errors import reason_of
from .rows import EncodedRows
from .settings import TuningSettings

# Rows of one step are computed together up to this many tokens; it bounds memory and is large enough for the matrix
# products to run at the machine's full rate.
MAX_PACKED_TOKENS = 2048
# A run has a few hundred steps, and the gradients of the first ones, before the model answers with labels at all, are
# many times as large as all that follow. With Adam's usual 0.999 they would keep the steps small to the end. GPT-3 was
# trained with these two values (Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix B).
BETAS = (0.9, 0.95)
MOMENTS = ("exp_avg", "exp_avg_sq")  # what PyTorch calls Adam's two running averages

Row = tuple[list[int], list[int]]


class Trainer:
    """Trains a soft prompt, with the model frozen, as Lester et al. do (2021, https://arxiv.org/abs/2104.08691).

    The optimizer is Adam (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980).

    Args:
        model: the frozen model.
        prompt: the soft prompt to start from, ``[P, H]``.
        data: the training rows.
        settings: the learning rate of the run, and the norm that its gradients are cut to.
    """

    def __init__(self, model: CausalModel, prompt: Tensor, data: EncodedRows, settings: TuningSettings) -> None:
        model.prepare_for_gradients()
        self._model = model
        self._rows = data.rows
        self._shared = model.embed(torch.tensor(data.shared, dtype=torch.long, device=prompt.device))
        self._prompt = torch.nn.Parameter(prompt.detach().clone())
        self._optimizer = torch.optim.Adam([self._prompt], lr=settings.learning_rate, betas=BETAS)
        self._peak = settings.learning_rate
        self._max_gradient_norm = settings.max_gradient_norm
        self._rank, self._world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    @property
    def prompt(self) -> Tensor:
        """Return the soft prompt as it stands, ``[P, H]``."""
        return self._prompt.detach()

    @property
    def gradient(self) -> Tensor:
        """Return the gradient of the last step, ``[P, H]``; the next step replaces it."""
        assert self._prompt.grad is not None
        return self._prompt.grad

    def step(self, indices: list[int], learning_rate_factor: float = 1.0) -> float:
        """Take one step of the optimizer.

        In several processes (``torch.distributed``) each computes its share of the rows.

        Args:
            indices: the rows of this step's minibatch.
            learning_rate_factor: the share of the peak learning rate.

        Returns:
            The mean cross-entropy of the rows' labels before the step, in nats.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._peak * learning_rate_factor
        self._optimizer.zero_grad()
        labels = sum(len(self._rows[index][1]) for index in indices)
        prompt = self._prompt.to(self._shared.dtype)
        loss = torch.zeros((), device=prompt.device)
        repeated = 0 if self._model.shares_prefix else len(prompt) + len(self._shared)
        for rows in _chunks([self._rows[index] for index in indices[self._rank :: self._world]], repeated):
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
        if self._max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._prompt, self._max_gradient_norm)
        self._optimizer.step()
        return loss.item()

    def any_process(self, flag: bool) -> bool:
        """Tell whether the flag is set in any of the processes, so that all of them act on it together."""
        if self._world == 1:
            return flag
        flags = torch.tensor(float(flag), device=self._shared.device)
        dist.all_reduce(flags)
        return flags.item() > 0

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint atomically; of several processes, the first writes it.

        Args:
            path: the file.
            step: the number of steps taken so far.
        """
        from safetensors.torch import save

        if self._rank != 0:
            return
        moments = {name: self._optimizer.state[self._prompt][name].cpu() for name in MOMENTS}
        tensors = {"prompt": self.prompt.cpu(), **moments}
        write_file(path, save(tensors, metadata={"update": str(step)}))

    def restore(self, path: Path) -> int:
        """Resume from a checkpoint, if there is one.

        Args:
            path: the file.

        Returns:
            The number of steps taken before it; 0 if there is none.

        Raises:
            UnusableCheckpoint: if it is damaged or another run's.
        """
        if self._rank == 0:
            remove_temporary_files(path.parent, path.name)
        checkpoint = read_checkpoint(path, self._prompt.shape)
        if checkpoint is None:
            return 0
        self._prompt.data.copy_(checkpoint.tensors["prompt"])
        moments = {name: checkpoint.tensors[name].to(self._prompt.device) for name in MOMENTS}
        self._optimizer.state[self._prompt] = {"step": torch.tensor(float(checkpoint.step)), **moments}
        return checkpoint.step


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Args:
        step: the number of steps taken so far.
        tensors: the soft prompt and the optimizer's moments.
    """

    step: int
    tensors: dict[str, Tensor]


class UnusableCheckpoint(ValueError):
    """A checkpoint that is damaged or another run's; the message says what is wrong with it."""


def read_checkpoint(path: Path, shape: Sequence[int], steps: float = math.inf) -> Checkpoint | None:
    """Read a checkpoint; give ``None`` if there is none.

    Args:
        path: the file.
        shape: of the soft prompt.
        steps: the number of steps in the whole run; any by default.

    Raises:
        UnusableCheckpoint: if it is damaged or another run's.
    """
    from safetensors import safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["update"])
            tensors = {name: file.get_tensor(name) for name in ("prompt", *MOMENTS)}
    except Exception as error:  # the file may hold anything, and each library has its own errors for it
        raise UnusableCheckpoint(reason_of(error)) from error
    if not 1 <= step <= steps:
        raise UnusableCheckpoint(f"it is of step {step}, which this run does not have")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(shape) or tensor.dtype != torch.float32:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise UnusableCheckpoint(f"its {name} is {found}, not float32 of shape {tuple(shape)}")
        if not tensor.isfinite().all() or (name == "exp_avg_sq" and (tensor < 0).any()):
            raise UnusableCheckpoint(f"its {name} has values that no step leaves")
    return Checkpoint(step, tensors)


def _chunks(rows: list[Row], repeated: int) -> Iterator[list[Row]]:
    """Group rows of similar length; no group exceeds the limit of tokens when padded to its longest row.

    Args:
        rows: of one step.
        repeated: the number of tokens before each row that are computed for each.
    """
    chunk: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row[0]) + len(row[1])):
        if chunk and (len(chunk) + 1) * (repeated + len(row[0]) + len(row[1])) > MAX_PACKED_TOKENS:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk
