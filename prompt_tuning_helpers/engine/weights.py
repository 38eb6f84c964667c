"""Checks whether a model's files fit together: its configuration, its tokenizer and the headers of its weights.

No memory is allocated for weights: transformers builds the model on the meta device. What does not fit raises an error
of transformers or a ``ValueError``.
"""

from pathlib import Path
from typing import Any

TRIAL = "Hello, world!"


def check_weights(where: str) -> Any:
    """Make sure that a model has each tensor that its configuration asks for, in the right shape.

    Args:
        where: what transformers loads the model from, a folder or a hub id.

    Returns:
        The network on the meta device, without its weights.

    Raises:
        ValueError: if a tensor is missing or of another shape; transformers raises errors of its own, too.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    _check_format(Path(where))
    _check_layers(AutoConfig.from_pretrained(where, trust_remote_code=False), Path(where))
    loader: Any = AutoModelForCausalLM
    network, report = loader.from_pretrained(
        where,
        device_map="meta",
        trust_remote_code=False,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are in the report
        output_loading_info=True,
    )
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"])
        raise ValueError(
            f"the weights do not fit config.json: {name} has the shape {tuple(found)}, not {tuple(expected)}"
        )
    # transformers would make them up at random.
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"the weights lack {len(missing)} tensors that config.json asks for, {missing[0]} among them")
    return network


def check_tokenizer(tokenizer: Any, vocabulary: int) -> None:
    """Make sure that a tokenizer reads and writes text, in tokens that the model has embeddings for.

    Args:
        tokenizer: of transformers.
        vocabulary: the number of embeddings.

    Raises:
        ValueError: if it does not; tokenizers raise errors of their own, too.
    """
    # Some models have tokens for images beyond their embeddings; these are added to the tokenizer's own vocabulary.
    added = tokenizer.get_added_vocab()
    largest = max((number for token, number in tokenizer.get_vocab().items() if token not in added), default=-1)
    if largest < 0:
        raise ValueError("the tokenizer knows no tokens")
    end = tokenizer.eos_token_id
    if max(largest, -1 if end is None else end) >= vocabulary:
        raise ValueError(
            f"the tokenizer has a token {max(largest, end or 0)}, but the model's {vocabulary} embeddings end before it"
        )
    tokens = tokenizer([TRIAL])["input_ids"][0]
    unknown = tokenizer.unk_token_id
    if not [token for token in tokens if token not in (unknown, tokenizer.bos_token_id, end)]:
        raise ValueError(f"the tokenizer makes nothing of the text {TRIAL!r}")
    tokenizer.decode(tokens, skip_special_tokens=True)


def _check_format(folder: Path) -> None:
    """Refuse a folder whose weights are pickles alone: whoever loads one runs the code in it."""
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if pickles and not any(folder.glob("*.safetensors")):
        raise ValueError(f"its weights are pickled, in {pickles[0]}, and a pickle can hold code that would be run")


def _check_layers(config: Any, folder: Path) -> None:
    """Refuse a configuration of no layers, or of more than there are tensors, which would take forever to build."""
    from safetensors import safe_open

    tensors = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors += len(file.keys())
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    if tensors and isinstance(layers, int) and not 0 < layers <= tensors:
        raise ValueError(f"config.json asks for {layers} layers, and the weights are {tensors} tensors in all")
