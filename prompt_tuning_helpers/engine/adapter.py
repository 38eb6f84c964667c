"""Prompt-tuning adapters from outside: what a folder in PEFT's format holds, checked before it is used.

PEFT writes ``adapter_config.json`` and ``adapter_model.safetensors``; this engine adds the settings of the run.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .._files import PRIVATE_FILE
from .errors import EngineError, UnusableModel, reason_of
from .settings import FIELD, TuningSettings, check_settings, check_verbalizer
from .soft_prompt import CONFIG_FILE, SETTINGS_FILE, WEIGHTS_FILE, read_embeddings

KIND = "PROMPT_TUNING"  # PEFT's name


@dataclass(frozen=True)
class Adapter:
    """A soft prompt in a folder.

    Args:
        folder: where it is.
        base_model: what it calls its base model; ``None`` if it does not say.
        length: number of its virtual tokens.
        settings: what is known of how it was tuned, by the names of ``TuningSettings``; the verbalizer always is.
    """

    folder: Path
    base_model: str | None
    length: int
    settings: dict[str, Any]


def read_adapter(folder: Path, verbalizer: str | None = None) -> Adapter:
    """Read an adapter, all of it.

    Args:
        folder: of the adapter.
        verbalizer: the template of its inputs, in place of what the folder says; one that says nothing was tuned on
            inputs as they are.

    Raises:
        UnusableModel: if the folder does not hold a complete prompt-tuning adapter; the message says why.
    """
    try:
        config = _read_config(folder)
        length, width = read_embeddings(folder / WEIGHTS_FILE).shape
        told = (config.get("num_virtual_tokens"), config.get("token_dim"))
        if told != (length, width):
            raise ValueError(
                f"{CONFIG_FILE} tells of {told[0]} virtual tokens of {told[1]} numbers, and {WEIGHTS_FILE} has "
                f"{length} of {width}"
            )
        base_model = config.get("base_model_name_or_path")
        if not isinstance(base_model, str | None):
            raise ValueError(f"base_model_name_or_path of {CONFIG_FILE} is no text")
        settings = _read_settings(folder, config, length)
        if verbalizer is not None:
            settings["verbalizer"] = verbalizer
        check_verbalizer(settings["verbalizer"])
    except Exception as error:  # the files may hold anything, and each library has its own errors for it
        reason = error.message if isinstance(error, EngineError) else reason_of(error)
        raise UnusableModel(
            f"{folder} holds no soft prompt that can be used: {reason.rstrip('.')}. Name a folder that export "
            "wrote, or one to which PEFT saved a prompt-tuning adapter."
        ) from error
    return Adapter(folder, base_model, length, settings)


def copy_adapter(adapter: Adapter, folder: Path) -> None:
    """Write an adapter's files, and no others, into an empty folder; only their owner reads them."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        shutil.copyfile(adapter.folder / name, folder / name)
    (folder / SETTINGS_FILE).write_text(json.dumps(adapter.settings, indent=2), encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(PRIVATE_FILE)


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ValueError("it is a file, not an adapter's folder" if folder.exists() else "there is no such folder")
    if not (folder / CONFIG_FILE).is_file():
        raise ValueError(f"there is no {CONFIG_FILE}")
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG_FILE} holds no object")
    if config.get("peft_type") != KIND:
        raise ValueError(f"it is of kind {config.get('peft_type')}, not {KIND}")
    if config.get("num_transformer_submodules") not in (None, 1):
        raise ValueError("its base model has an encoder and a decoder, which cannot be served here")
    if not (folder / WEIGHTS_FILE).is_file():
        raise ValueError(f"there is no {WEIGHTS_FILE}; weights in other formats are not read")
    return config


def _read_settings(folder: Path, config: dict[str, Any], length: int) -> dict[str, Any]:
    """Read the settings of a run of this engine, or what PEFT says of another's."""
    path = folder / SETTINGS_FILE
    if path.is_file():
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.keys() <= {"num_virtual_tokens", "init_method", "init_text", "verbalizer"}:
            return dict(values)  # one from outside that was taken in and goes out again
        settings = TuningSettings(**values)
        check_settings(settings)
        return asdict(replace(settings, num_virtual_tokens=length))
    from_text = config.get("prompt_tuning_init") == "TEXT"
    start = {"init_text": config.get("prompt_tuning_init_text")} if from_text else {}
    return {
        "num_virtual_tokens": length,
        "init_method": "text" if from_text else "random",
        **start,
        "verbalizer": FIELD,
    }
