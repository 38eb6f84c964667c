"""Soft prompts: they start as PEFT's do, and are kept in its file format, as a standard prompt-tuning adapter."""

import json
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import atomic_folder, make_private_folder
from .errors import UnusableModel, reason_of
from .rows import encode_inputs
from .settings import TuningSettings, check_verbalizer

if TYPE_CHECKING:
    from torch import Tensor

    from .causal_model import CausalModel

CONFIG_FILE = "adapter_config.json"  # PEFT's names
WEIGHTS_FILE = "adapter_model.safetensors"
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


def initialise(model: "CausalModel", tokenizer: Any, settings: TuningSettings) -> "Tensor":
    """Make the soft prompt that tuning starts from: the one that PEFT's ``PromptEmbedding`` starts from.

    It is random or consists of the embeddings of a text (Lester et al., 2021, https://arxiv.org/abs/2104.08691). A text
    that is too short is repeated, and one that is too long is cut off.

    Args:
        model: the base model, which embeds the text.
        tokenizer: the base model's tokenizer.
        settings: the number of virtual tokens, ``init_method``, ``init_text`` and ``seed``.

    Returns:
        The virtual tokens, ``[P, H]`` in float32.
    """
    import torch

    length, embedding = settings.num_virtual_tokens, model.embedding
    if settings.init_method == "text":
        text = encode_inputs([str(settings.init_text)], tokenizer)[0]
        tokens = torch.tensor(list(islice(cycle(text), length)), device=embedding.device)  # [P]
        return model.embed(tokens).float()
    torch.manual_seed(settings.seed)
    return torch.nn.Embedding(length, embedding.shape[1]).weight.detach().to(embedding.device)


def save(folder: Path, embeddings: "Tensor", model_name: str, settings: TuningSettings) -> None:
    """Write a soft prompt as a PEFT adapter, atomically.

    Args:
        folder: the adapter's folder; must not exist, and the one that it is in is made if need be.
        embeddings: the virtual tokens, ``[P, H]``.
        model_name: what the adapter names as its base model.
        settings: of the run that tuned it.
    """
    from safetensors.torch import save_file

    config = _peft_config(settings, embeddings.shape[1], model_name)
    tensors = {"prompt_embeddings": embeddings.detach().float().cpu().contiguous()}
    make_private_folder(folder.parent)
    with atomic_folder(folder) as temporary:
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
        save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / SETTINGS_FILE).write_text(json.dumps(asdict(settings), indent=2), encoding="utf-8")


def load(folder: Path) -> SoftPrompt:
    """Read a soft prompt.

    Args:
        folder: the adapter's folder.

    Raises:
        UnusableModel: if the folder does not hold a complete one.
    """
    try:
        return SoftPrompt(read_embeddings(folder / WEIGHTS_FILE), _read_verbalizer(folder / SETTINGS_FILE))
    except Exception as error:  # the files may hold anything, and each library has its own errors for it
        raise unusable(folder, reason_of(error)) from error


def unusable(folder: Path, reason: str) -> UnusableModel:
    """Make the error that says why a soft prompt cannot be used, and what to do."""
    return UnusableModel(
        f"The tuned model {folder.name} has no usable soft prompt: {reason.rstrip('.')}. Tune again, or restore the "
        f"folder {folder}."
    )


def read_embeddings(path: Path) -> "Tensor":
    """Read the virtual tokens, ``[P, H]``.

    Raises:
        ValueError: if they are of another shape or type, or not finite.
    """
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


def _peft_config(settings: TuningSettings, hidden: int, model_name: str) -> dict[str, Any]:
    """Say in PEFT's terms how many virtual tokens there are, and what they started from.

    To import PEFT for this would take longer than to load the model. What is not said here is as by default.
    """
    from_text = settings.init_method == "text"
    return {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model_name,
        "inference_mode": True,
        "num_virtual_tokens": settings.num_virtual_tokens,
        "token_dim": hidden,
        "num_transformer_submodules": 1,
        "prompt_tuning_init": "TEXT" if from_text else "RANDOM",
        "prompt_tuning_init_text": settings.init_text if from_text else None,
        "tokenizer_name_or_path": model_name if from_text else None,
        # Prefix tuning alone needs these two. PEFT looks for them in every model, and finds none in Mamba, say.
        "num_layers": 1,
        "num_attention_heads": 1,
    }
