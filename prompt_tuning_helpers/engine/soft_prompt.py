"""The soft prompt: PEFT initialises it and gives it its file format, a standard prompt-tuning adapter."""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UnusableModel, reason_of
from .settings import TuningSettings, check_verbalizer

if TYPE_CHECKING:
    from torch import Tensor

    from .causal_model import CausalModel

WEIGHTS_FILE = "adapter_model.safetensors"  # PEFT's name
SETTINGS_FILE = "tuning_settings.json"  # ours; PEFT ignores it


@dataclass(frozen=True)
class SoftPrompt:
    """A tuned soft prompt.

    Args:
        embeddings: the virtual tokens, ``[P, H]``.
        verbalizer: the template that its inputs were wrapped in.
    """

    embeddings: "Tensor"
    verbalizer: str


def initialise(model: "CausalModel", tokenizer_folder: str, settings: TuningSettings) -> "Tensor":
    """The soft prompt before tuning, ``[P, H]`` in float32, made by PEFT.

    Args:
        model: the base model, whose embeddings an initial text takes.
        tokenizer_folder: what transformers loads the tokenizer from.
        settings: length, ``init_method``, ``init_text`` and ``seed``.
    """
    import torch
    from peft import PromptEmbedding

    hidden = model.embedding.shape[1]
    config = _peft_config(settings, hidden, tokenizer_folder)
    torch.manual_seed(settings.seed)

    class Words(torch.nn.Module):
        """The model's embeddings, as PEFT expects them."""

        weight = model.embedding

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return model.embed(tokens).float()

    embeddings: Tensor = PromptEmbedding(config, Words()).embedding.weight.detach().to(model.embedding.device)
    return embeddings


def save(folder: Path, embeddings: "Tensor", model_name: str, settings: TuningSettings) -> None:
    """Write a soft prompt as a PEFT adapter; the folder appears whole or not at all.

    Args:
        folder: where it goes; must not exist.
        embeddings: the virtual tokens, ``[P, H]``.
        model_name: what the adapter names as its base model.
        settings: what it was tuned with.
    """
    from safetensors.torch import save_file

    workspace = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        config = _peft_config(settings, embeddings.shape[1], model_name)
        config.base_model_name_or_path = model_name
        config.inference_mode = True
        config.save_pretrained(workspace)
        tensors = {"prompt_embeddings": embeddings.detach().float().cpu().contiguous()}
        save_file(tensors, workspace / WEIGHTS_FILE, metadata={"format": "pt"})
        (workspace / SETTINGS_FILE).write_text(json.dumps(asdict(settings), indent=2), encoding="utf-8")
        for path in workspace.iterdir():
            sync(path)
        workspace.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise


def load(folder: Path) -> SoftPrompt:
    """Read a soft prompt.

    Raises:
        UnusableModel: when the folder does not hold one that is whole.
    """
    try:
        return SoftPrompt(_read_embeddings(folder / WEIGHTS_FILE), _read_verbalizer(folder / SETTINGS_FILE))
    except Exception as error:  # the files may hold anything, and each library has its own errors for it
        raise unusable(folder, reason_of(error)) from error


def unusable(folder: Path, reason: str) -> UnusableModel:
    """The error that says why a soft prompt cannot be used, and what to do."""
    return UnusableModel(
        f"The tuned model {folder.name} has no usable soft prompt: {reason.rstrip('.')}. Tune again, or restore the "
        f"folder {folder}."
    )


def _read_embeddings(path: Path) -> "Tensor":
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        # A copy: what is mapped would be lost with the file.
        embeddings: Tensor = file.get_tensor("prompt_embeddings").clone()
    if embeddings.ndim != 2 or 0 in embeddings.shape or not embeddings.is_floating_point():
        raise ValueError(f"{path.name} has {embeddings.dtype} of shape {tuple(embeddings.shape)}, not virtual tokens")
    if not embeddings.isfinite().all():
        raise ValueError(f"{path.name} has values that are no numbers")
    return embeddings


def _read_verbalizer(path: Path) -> str:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        verbalizer: str = settings["verbalizer"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: {reason_of(error)}") from error
    check_verbalizer(verbalizer)
    return verbalizer


def sync(path: Path) -> None:
    """Flush a file or folder to disk, so that what is announced next outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _peft_config(settings: TuningSettings, hidden: int, tokenizer: str) -> Any:
    from peft import PromptTuningConfig

    from_text = settings.init_method == "text"
    return PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.num_virtual_tokens,
        token_dim=hidden,
        num_transformer_submodules=1,
        prompt_tuning_init="TEXT" if from_text else "RANDOM",
        prompt_tuning_init_text=settings.init_text if from_text else None,
        tokenizer_name_or_path=tokenizer if from_text else None,
    )
