"""The soft prompt: PEFT initialises it and gives it its file format, a standard prompt-tuning adapter."""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import EngineError
from .settings import TuningSettings

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
        EngineError: when the folder does not hold one.
    """
    from safetensors.torch import load_file

    try:
        embeddings = load_file(folder / WEIGHTS_FILE)["prompt_embeddings"]
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        return SoftPrompt(embeddings, settings["verbalizer"])
    except (OSError, KeyError, ValueError) as error:
        raise EngineError(f"There is no usable soft prompt in {folder.name}: {error}", "model_not_found") from error


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
