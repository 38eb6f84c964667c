"""The settings of a run that omits them: neutral where they belong to a task, measured where they belong to a model."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .embedding_scale import embedding_rms
from .search_plan import RATE_OF_UNKNOWN, STEP, rounded, unit_of
from .settings import FIELD, MOST_EPOCHS, TuningSettings

MEASURED_ROWS = 320  # that each pace was measured on


@dataclass(frozen=True)
class _Pace:
    """How far and how often a soft prompt is moved.

    Args:
        learning_rate: peak learning rate; ``None`` for one in proportion to the size of what is moved.
        num_epochs: passes over the training rows.
    """

    learning_rate: float | None
    num_epochs: int


# What the pace of a run consists of: settings that belong to a base model, not to a task.
PACE = ("learning_rate", "num_epochs", "batch_size", "accumulate_steps")


@dataclass(frozen=True)
class _ModelFacts:
    """What is known of a base model, whatever the task.

    Args:
        num_virtual_tokens: length of its soft prompts.
        from_text: what suits a soft prompt that starts from the embeddings of a text.
        from_random: what suits one that starts from random numbers. It has further to go.
        from_instruction: what suits one that starts from a text without solved examples, with ``{{input}}`` alone as
            the template, as notebooks that were written for a large model do; ``None`` if it is as with any text. It
            has to find the task first.
    """

    num_virtual_tokens: int
    from_text: _Pace
    from_random: _Pace
    from_instruction: _Pace | None = None


# Of a model that nothing is known of: what serves small Llama-type models. Choose better ones on validation data.
_UNKNOWN = _ModelFacts(50, from_text=_Pace(None, 5), from_random=_Pace(None, 5))

# Measured on validation parts of the lesson's training file with benchmarks/choose_settings.py; data/README.md has the
# table.
_KNOWN = {
    "smollm2": _ModelFacts(100, from_text=_Pace(0.02, 3), from_random=_Pace(0.1, 5), from_instruction=_Pace(0.03, 8))
}


def default_settings(source: str, init_method: str = "random") -> TuningSettings:
    """Give the settings of a run that omits all of them but where it starts from.

    Args:
        source: where the base model comes from, for instance ``"smollm2"``.
        init_method: ``"text"`` or ``"random"``.
    """
    facts = _KNOWN.get(source, _UNKNOWN)
    pace = facts.from_text if init_method == "text" else facts.from_random
    return TuningSettings(
        num_virtual_tokens=facts.num_virtual_tokens,
        init_method=init_method,
        init_text=None,
        learning_rate=_relative_rate(source, init_method) if pace.learning_rate is None else pace.learning_rate,
        num_epochs=pace.num_epochs,
        batch_size=8,
        accumulate_steps=1,
        max_input_tokens=256,
        max_output_tokens=128,
        verbalizer=FIELD,
    )


def _relative_rate(source: str, init_method: str) -> float:
    """Give the rate that moves the soft prompt by the usual part of its own size; a fixed one if that is not known."""
    unit = unit_of(init_method, embedding_rms(source) if init_method == "text" else None)
    return RATE_OF_UNKNOWN if unit is None else rounded(STEP * unit)


def complete_settings(source: str, given: Mapping[str, Any]) -> TuningSettings:
    """Fill in the settings that a run omits.

    Args:
        source: where the base model comes from.
        given: settings by name; ``None`` omits one. A text to start from without an ``init_method`` is started from.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    init_method = chosen.get("init_method", "text" if "init_text" in chosen else "random")
    return replace(default_settings(source, init_method), **chosen)


def suited_settings(source: str, asked: TuningSettings, rows: int) -> TuningSettings:
    """Replace the pace of a run that was chosen for another base model; all else stays as asked.

    Args:
        source: where the base model comes from that is really there.
        asked: the settings of the run.
        rows: number of training rows. Fewer than a pace was measured on are passed over more often, so that the soft
            prompt is updated about as many times.
    """
    suited = default_settings(source, asked.init_method)
    from_instruction = _KNOWN.get(source, _UNKNOWN).from_instruction
    if asked.init_method == "text" and from_instruction:
        suited = replace(suited, **asdict(from_instruction))
    epochs = math.ceil(suited.num_epochs * max(1.0, MEASURED_ROWS / rows))
    pace = {name: getattr(suited, name) for name in PACE} | {"num_epochs": min(MOST_EPOCHS, epochs)}
    return replace(asked, **pace)
