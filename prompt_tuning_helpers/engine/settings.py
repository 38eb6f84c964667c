"""What goes into a tuning run and a generation request, with watsonx.ai's names and meaning, and what an answer is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from .errors import UnusableSettings

FIELD = "{{input}}"
LARGEST_COUNT = 2**31 - 1
LARGEST_RATE = 100.0
MOST_EPOCHS = 50  # the hosted service's limit, for what is chosen or kept without being asked for
SEEDS = 2**63  # what torch takes


class Precision(StrEnum):
    """What a run may multiply in: it says how fast a machine computes, not what, so it is no setting of a tuning."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class TuningSettings:
    """How a soft prompt is tuned; names and meaning as in the SDK's ``prompt_tuner`` and in caikit-nlp.

    Args:
        num_virtual_tokens: length of the soft prompt, in tokens.
        init_method: ``"text"`` (embeddings of ``init_text``, trimmed or repeated to length) or ``"random"``.
        init_text: the text that the soft prompt starts from.
        learning_rate: peak learning rate of Adam; it decays linearly to zero.
        num_epochs: passes over the training rows.
        batch_size: rows per batch.
        accumulate_steps: batches per update of the soft prompt.
        max_input_tokens: rows whose wrapped input is longer than this many tokens are left out.
        max_output_tokens: outputs are cut to this many tokens, the end-of-text token included.
        verbalizer: the template around each input, in training and at inference; ``{{input}}`` is the field.
        seed: of the shuffle and of the random initialisation.
        max_gradient_norm: a longer gradient of the soft prompt is cut to this norm; ``None`` leaves all as they are.
    """

    num_virtual_tokens: int
    init_method: str
    init_text: str | None
    learning_rate: float
    num_epochs: int
    batch_size: int
    accumulate_steps: int
    max_input_tokens: int
    max_output_tokens: int
    verbalizer: str
    seed: int = 0
    max_gradient_norm: float | None = None


def check_settings(settings: TuningSettings) -> None:
    """Refuse settings that no run could work with, or that are of another type, as a file may have them.

    Raises:
        UnusableSettings: naming the setting and what it must be.
    """
    _check_types(settings)
    counts = (
        "num_virtual_tokens",
        "num_epochs",
        "batch_size",
        "accumulate_steps",
        "max_input_tokens",
        "max_output_tokens",
    )
    for name in counts:
        if not 1 <= getattr(settings, name) <= LARGEST_COUNT:
            raise UnusableSettings(f"{name} is {_show(getattr(settings, name))}; it must be from 1 to {LARGEST_COUNT}.")
    if not 0 < settings.learning_rate <= LARGEST_RATE:
        rate = _show(settings.learning_rate)
        raise UnusableSettings(f"learning_rate is {rate}; it must be above 0 and at most {LARGEST_RATE:g}.")
    if settings.max_gradient_norm is not None and not 0 < settings.max_gradient_norm < math.inf:
        norm = _show(settings.max_gradient_norm)
        raise UnusableSettings(f"max_gradient_norm is {norm}; it must be above 0. Leave it out to cut no gradient.")
    if not 0 <= settings.seed < SEEDS:
        raise UnusableSettings(f"seed is {_show(settings.seed)}; it must be from 0 to {SEEDS - 1}.")
    if settings.init_method not in ("text", "random"):
        raise UnusableSettings(f"init_method is {settings.init_method!r}; it must be 'text' or 'random'.")
    if settings.init_method == "text" and not settings.init_text:
        raise UnusableSettings(
            "init_text is missing. Give the text that the soft prompt starts from, or init_method 'random'."
        )
    if settings.init_text is not None:
        _check_text("init_text", settings.init_text)
    check_verbalizer(settings.verbalizer)


def check_verbalizer(verbalizer: object) -> None:
    """Refuse what is no template for an input.

    Raises:
        UnusableSettings: saying what it must be.
    """
    if not isinstance(verbalizer, str):
        raise UnusableSettings(f"The verbalizer is {_show(verbalizer)}; it must be a text with a {FIELD} field.")
    _check_text("The verbalizer", verbalizer)
    if FIELD not in verbalizer:
        raise UnusableSettings(
            f"The verbalizer {_show(verbalizer)} has no {FIELD} field, so the model would never see the input. "
            f"Add {FIELD} where the input belongs; {FIELD} alone passes the input on as it is."
        )


def _check_types(settings: TuningSettings) -> None:
    expected = {int: "a whole number", float: "a number", str: "a text", float | None: "a number or null"}
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        types = setting.type | int if setting.type in (float, float | None) else setting.type
        if isinstance(value, bool) or not isinstance(value, types):  # type: ignore[arg-type]
            kind = expected.get(setting.type, "a text or null")  # type: ignore[arg-type]
            raise UnusableSettings(f"{setting.name} is {_show(value)}; it must be {kind}.")


def _check_text(name: str, text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UnusableSettings(f"{name} holds half a character (a lone surrogate): {_show(text)}. Remove it.")


def _show(value: object) -> str:
    """Write a value as a message shows it; a file may hold one of any length."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out integers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:100]}..."


@dataclass(frozen=True)
class Guide:
    """What the text of an answer must be; the model is held to it token by token.

    Args:
        kind: ``"choice"``, one of a few texts; ``"regex"``, a match of a regular expression; ``"json"``, JSON of a
            schema; ``"grammar"``, what a grammar in GBNF or Lark's notation begins with ``root`` or ``start``.
        value: the texts, the expression, the schema as JSON, or the grammar.
    """

    kind: str
    value: str | tuple[str, ...]


@dataclass(frozen=True)
class GenerationParameters:
    """How text is generated; names, meaning and defaults as in watsonx.ai's ``text/generation`` and ``text/chat``.

    Args:
        max_new_tokens: at most this many tokens are generated.
        min_new_tokens: no end-of-text before this many tokens, and stop sequences that are met before do not count.
        decoding_method: ``"greedy"`` or ``"sample"``.
        temperature: of the softmax when sampling; must be above zero.
        top_k: sample among this many most likely tokens; ``None`` for all.
        top_p: sample among the most likely tokens that together reach this probability.
        random_seed: makes sampling repeatable.
        repetition_penalty: above 1, tokens already seen become less likely (Keskar et al., 2019, section 4.1).
        decay_factor: above 1, the logits of end-of-text tokens grow by this factor with each token after
            ``decay_start`` tokens; watsonx.ai's ``length_penalty``.
        decay_start: see ``decay_factor``.
        presence_penalty: what the logit of each token of the answer so far is lowered by.
        frequency_penalty: what it is lowered by for each time that the token is there.
        logit_bias: what is added to the logits of these token ids.
        guide: what the answer must be; ``None`` for any text.
        stop_sequences: generation ends when the text ends with one of these.
        include_stop_sequence: whether the answer keeps the stop sequence.
        truncate_input_tokens: keep only the last so many tokens of the input; ``None`` or 0 for all.
        time_limit: seconds after which generation stops; ``None`` for no limit.
        describe_input: whether the answer says how likely each token of the input was.
        describe_generated: the same for each token that was generated.
        top_tokens: with each of these tokens, so many of the most likely at its place are given.
    """

    max_new_tokens: int = 20
    min_new_tokens: int = 0
    decoding_method: str = "greedy"
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    random_seed: int | None = None
    repetition_penalty: float = 1.0
    decay_factor: float = 1.0
    decay_start: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    guide: Guide | None = None
    stop_sequences: tuple[str, ...] = ()
    include_stop_sequence: bool = True
    truncate_input_tokens: int | None = None
    time_limit: float | None = None
    describe_input: bool = False
    describe_generated: bool = False
    top_tokens: int = 0


@dataclass(frozen=True)
class Token:
    """A token, and how likely the model found it, before temperature, penalties and the like.

    Args:
        name: as the vocabulary writes it, ``"Ġdog"`` for instance.
        text: what it says by itself; ``"\ufffd"`` stands for half a character.
        logprob: the natural logarithm of its probability after all tokens before it, the soft prompt's included;
            ``None`` for the first token of an input that nothing comes before.
        rank: 1 for the most likely token; ``None`` as for ``logprob``.
        is_end: whether it ends the text.
        top: the most likely tokens at its place, the most likely one first.
    """

    name: str
    text: str
    logprob: float | None
    rank: int | None
    is_end: bool
    top: "tuple[Token, ...]" = ()


@dataclass(frozen=True)
class Generation:
    """An answer, or a part of one that is streamed.

    Args:
        text: what was generated.
        input_token_count: tokens of the input, the verbalizer's included and the soft prompt's not.
        generated_token_count: tokens generated, an end-of-text token included.
        stop_reason: one of eos_token, max_tokens, stop_sequence, token_limit, time_limit; not_finished for a part.
        seed: what makes sampling give this answer again; ``None`` for a greedy one.
        tokens: those generated, if they were to be described.
        input_tokens: the input's, if they were to be described; in a stream, the first part's alone has them.
    """

    text: str
    input_token_count: int
    generated_token_count: int
    stop_reason: str
    seed: int | None = None
    tokens: tuple[Token, ...] = ()
    input_tokens: tuple[Token, ...] = ()
