"""What a base model costs, said before anything starts: its memory, and the time of a pass over training rows."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

EXPECTED = (
    "{model} has {weights} million weights. Tuning and answering take about {memory:.1f} GB of memory, and {free:.1f} "
    "GB are free. A pass over {rows} rows of {tokens} tokens takes about {minutes:.1f} minutes."
)
TOO_LARGE = "That is too much for this computer: choose a smaller model, or free memory."

# Peak memory of `engine tune` with rows of the lesson's length, 8 a step, for models of 135 and 353 million weights:
# 2,508 and 5,231 MiB (`python -m benchmarks.peak_memory`), when the weights were in several layouts at once. By now the
# default model takes 1,540; what transformers loads was not measured again, and a figure too high does no harm.
_PROCESS_BYTES = 830 * 2**20
_TUNING_COPIES = 3.3
# The runtime keeps the model beside it, to answer: 2.0 GiB are resident after the lesson's questions to SmolLM2.
_ANSWERING_COPIES = 2.4
_WEIGHT_BYTES = 4  # float32
# The share of a large matrix product's rate that tuning reaches: see the README's table.
_EFFICIENCY = 0.5
_PASS_ROWS, _ROW_TOKENS, _BATCH_ROWS, _PROMPT_TOKENS = 320, 30, 8, 125


@dataclass(frozen=True)
class Estimate:
    """What to expect of a base model on this machine.

    Args:
        model: its id.
        parameters: number of weights.
        memory: bytes that the runtime and one tuning process use at their peak.
        free: bytes of memory that are free now.
        pass_seconds: seconds of one pass over 320 rows of about 30 tokens with a soft prompt of 100 virtual tokens.
    """

    model: str
    parameters: int
    memory: int
    free: int
    pass_seconds: float

    @classmethod
    def from_json(cls, text: str) -> "Estimate":
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write it on one line."""
        return json.dumps(asdict(self))

    @property
    def is_too_large(self) -> bool:
        """Whether the model takes more memory than is free."""
        return self.memory > self.free

    def values(self) -> dict[str, object]:
        """Give the values of ``EXPECTED``, in gigabytes and minutes."""
        return {
            "model": self.model,
            "weights": f"{self.parameters / 1e6:.3g}",
            "memory": self.memory / 1e9,
            "free": self.free / 1e9,
            "rows": _PASS_ROWS,
            "tokens": _ROW_TOKENS,
            "minutes": self.pass_seconds / 60,
        }

    def __str__(self) -> str:
        """Say it in three sentences, and a fourth one if the memory is too small."""
        return EXPECTED.format(**self.values()) + (f" {TOO_LARGE}" if self.is_too_large else "")


def estimate(model: str, network: Any) -> Estimate:
    """Estimate what tuning on a model takes.

    Args:
        model: its id.
        network: the transformers model, which may be on the meta device: only its shapes are read.
    """
    import psutil

    embedding = network.get_input_embeddings().weight.numel()
    parameters = network.num_parameters()
    return Estimate(
        model=model,
        parameters=parameters,
        memory=round(2 * _PROCESS_BYTES + (_TUNING_COPIES + _ANSWERING_COPIES) * _WEIGHT_BYTES * parameters),
        free=psutil.virtual_memory().available,
        pass_seconds=_pass_operations(parameters - embedding) / (_EFFICIENCY * _machine_rate()),
    )


def _pass_operations(weights: int) -> float:
    """Count the floating-point operations of a pass: two a weight and token forward, and two backward.

    The weights are frozen, so no gradients of theirs are computed. The soft prompt and what the rows share are computed
    once a step.

    Args:
        weights: those that each token is multiplied with.
    """
    steps = _PASS_ROWS / _BATCH_ROWS
    return 4.0 * weights * (_PASS_ROWS * _ROW_TOKENS + steps * _PROMPT_TOKENS)


def _machine_rate(size: int = 1024, seconds: float = 0.3) -> float:
    """Measure the floating-point operations a second of a large float32 matrix product here, now."""
    import torch

    from .linear import FrozenLinear

    matrix = torch.ones(size, size)
    multiply = FrozenLinear(matrix)
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        multiply(matrix)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best
