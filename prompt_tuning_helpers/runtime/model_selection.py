"""Which base models are served, and under which ids: what ``--model`` and ``--alias`` mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..engine.sources import DEFAULT_SOURCE, TINY_SOURCE, default_model_id


@dataclass(frozen=True)
class Selection:
    """The models to serve.

    Args:
        models: the source of each model by the id that clients use, aliases included.
        aliases: the ids among them that are other models' names.
    """

    models: Mapping[str, str]
    aliases: frozenset[str]


def select_models(sources: Sequence[str] = (), aliases: Sequence[str] = ()) -> Selection:
    """Give the models that a command line asks for.

    Args:
        sources: what to load; the default model when there is none.
        aliases: ``NAME=MODEL``, where MODEL is the id or the source of a model.

    Raises:
        ValueError: for an alias that is not of that form, or two models under one id.
    """
    models: dict[str, str] = {}
    for source in sources or [DEFAULT_SOURCE]:
        _add(models, default_model_id(source), source)
    by_id = {**{default_model_id(source): source for source in (DEFAULT_SOURCE, TINY_SOURCE)}, **models}
    names: list[str] = []
    for alias in aliases:
        name, equals, target = alias.partition("=")
        if not (name and equals and target):
            raise ValueError(
                f"--alias {alias!r} must have the form NAME=MODEL, for instance ibm/granite-3-8b-instruct=tiny."
            )
        _add(models, name, by_id.get(target, target))
        names.append(name)
    return Selection(models, frozenset(names))


def _add(models: dict[str, str], name: str, source: str) -> None:
    if models.get(name, source) != source:
        raise ValueError(f"Two models would be served as {name}: {models[name]} and {source}. Leave one out.")
    models[name] = source
