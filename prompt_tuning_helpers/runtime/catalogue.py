"""The base models as clients are told of them: what the engine knows of each, and what people want to know besides."""

from collections.abc import Collection
from dataclasses import dataclass

from ..engine import ModelCard
from ..engine.sources import DEFAULT_SOURCE, TINY_SOURCE, default_model_id


@dataclass(frozen=True)
class ServedModel(ModelCard):
    """A base model that this runtime serves.

    Args:
        name: the real name of the model that answers.
        provider: who made it.
        description: one sentence.
        is_alias: whether ``model_id`` is another model's name, which answers must say.
    """

    name: str
    provider: str
    description: str
    is_alias: bool


def describe(card: ModelCard, aliases: Collection[str]) -> ServedModel:
    """Say of a base model what people want to know.

    Args:
        card: what the engine says of it.
        aliases: the ids that are other models' names.
    """
    name, provider, description = _words(card)
    return ServedModel(
        **vars(card), name=name, provider=provider, description=description, is_alias=card.model_id in aliases
    )


def _words(card: ModelCard) -> tuple[str, str, str]:
    """Give a model's real name, who made it, and a sentence on it."""
    if card.source == DEFAULT_SOURCE:
        description = "A small instruction-tuned language model that runs on a CPU."
        return "SmolLM2-135M-Instruct", "Hugging Face", description
    if card.source == TINY_SOURCE:
        return "tiny random Llama", "local", "A few thousand random weights for tests. It has learnt nothing."
    name = default_model_id(card.source)
    return name, name.split("/")[0], f"A causal language model of type {card.model_type}, served on this machine."
