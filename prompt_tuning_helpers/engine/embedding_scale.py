"""How large the entries of a base model's embeddings are: the unit that the steps of a soft prompt are counted in."""

from functools import cache
from pathlib import Path
from typing import Any

from . import sources

# Our own models are always the same and need not be fetched for this.
_KNOWN = {sources.DEFAULT_SOURCE: 0.1356, sources.TINY_SOURCE: 0.4020}
# Rows of a large vocabulary that stand for all of it: blocks that are spread evenly, since tokens are numbered by how
# frequent they are, and frequent ones have smaller embeddings.
_BLOCKS, _BLOCK = 64, 64


@cache
def embedding_rms(source: str) -> float | None:
    """Give the root mean square of the entries of a base model's embeddings, as its first layer reads them.

    Of a large vocabulary, 4096 embeddings are read, which takes milliseconds and gives it to about a percent.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        ``None`` if the model is not on this machine yet, or is damaged, which whoever loads it is told.
    """
    if source in _KNOWN:
        return _KNOWN[source]
    try:
        folder = sources.find(source)
        return _read(folder) if folder else None
    except Exception:  # the files are foreign, and the libraries that read them raise all kinds of errors
        return None


def _read(folder: Path) -> float | None:
    """Find the embeddings in a model's files by the name and the shape that the network gives them."""
    from safetensors import safe_open

    from .weights import check_weights

    network = check_weights(str(folder))
    module = network.get_input_embeddings()
    name = next(name for name, weight in network.named_parameters() if weight is module.weight)
    ending = ".".join(name.split(".")[-2:])
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 the file is no dictionary
                tensor = file.get_slice(key)
                if key.endswith(ending) and tuple(tensor.get_shape()) == tuple(module.weight.shape):
                    return _rms(tensor) * _scale(module)
    return None


def _rms(tensor: Any) -> float:
    """Give the root mean square of a tensor in a file, ``[vocabulary, H]``, from blocks of its rows."""
    import torch

    rows = tensor.get_shape()[0]
    if rows <= _BLOCKS * _BLOCK:
        read = tensor[:]
    else:
        read = torch.cat([tensor[start : start + _BLOCK] for start in range(0, rows - _BLOCK, rows // _BLOCKS)])
    return float(read.double().square().mean().sqrt())


def _scale(module: Any) -> float:
    """Give what some families multiply embeddings by where they look them up."""
    named = (getattr(module, name, None) for name in ("scalar_embed_scale", "embed_scale"))
    return next((float(scale) for scale in named if isinstance(scale, int | float)), 1.0)
