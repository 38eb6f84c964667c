"""The methods that are compared: what each of them needs, and the candidates that its search chooses among.

Importing this module is cheap; it needs no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from .hard_prompts import WORDINGS

# The templates around a prompt of the lesson's files that each trained method chooses among: nothing, the lesson's own,
# and a shorter one. What is trained to follow is the output.
TEMPLATES = {
    "none": "{{input}}",
    "feels": "{{input}}Overall, the customer feels ",
    "overall": "{{input}}Overall: ",
}
PASSES = (1, 2, 4, 8, 16, 32, 64)  # over the training rows

# Gives a text its values. That of ``language`` also translates it; names in results take ``str.format``, as they stay.
Say = Callable[..., str]


@dataclass(frozen=True)
class Axis:
    """One coordinate of the candidates, and its values.

    Args:
        name: the candidates' field.
        values: to choose among.
        is_ordered: whether the values rise, so that a search goes on where they get better. It tries all others.
    """

    name: str
    values: tuple[Any, ...]
    is_ordered: bool = True


@dataclass(frozen=True)
class WrittenPrompt:
    """A hard prompt that a search may choose.

    Args:
        wording: its name among the wordings.
        examples: how many solved ones are shown first.
        draw: which of the seed's draws of examples from the training rows.
    """

    wording: str
    examples: int = 0
    draw: int = 0

    def describe(self, say: Say = str.format) -> str:
        """Name the wording, and the examples if there are any."""
        if not self.examples:
            return self.wording
        return say(
            "{wording}, {examples} examples, draw {draw}",
            wording=self.wording,
            examples=self.examples,
            draw=self.draw + 1,
        )


@dataclass(frozen=True)
class Recipe:
    """How a network, or what stands before its input, is trained.

    Args:
        learning_rate: the highest.
        epochs: passes over the training rows.
        template: its name among the templates.
        shows_examples: whether the text that soft prompts start from stands before each input.
    """

    learning_rate: float
    epochs: int
    template: str = "feels"
    shows_examples: bool = False

    def describe(self, say: Say = str.format) -> str:
        """Say in words what was tried."""
        rate = np.format_float_positional(self.learning_rate, trim="-")
        if self.epochs == 1:
            recipe = say("learning rate {rate}, 1 pass, template {template}", rate=rate, template=self.template)
        else:
            recipe = say(
                "learning rate {rate}, {passes} passes, template {template}",
                rate=rate,
                passes=self.epochs,
                template=self.template,
            )
        return say("{recipe}, after solved examples", recipe=recipe) if self.shows_examples else recipe


@dataclass(frozen=True)
class Regularisation:
    """How strongly a logistic regression is held back.

    Args:
        inverse_strength: scikit-learn's C.
    """

    inverse_strength: float

    def describe(self, say: Say = str.format) -> str:
        """Name the inverse strength as scikit-learn does."""
        return f"C = {self.inverse_strength:g}"


Candidate = WrittenPrompt | Recipe | Regularisation


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to teach the task.

    Args:
        name: short, as in the names of results.
        title: as people read it.
        searched_as: name of the method whose trials count, if they are not this one's own.
        judged_by_writing: whether its search looks at what is written, not at which of two words is likelier.
        learns_from_little: whether it is also measured on fewer rows.
    """

    kind: ClassVar[str]  # in the file of results
    candidates: ClassVar[type[Candidate]]  # of which kind they are
    has_base_model: ClassVar[bool] = True
    is_tuned: ClassVar[bool] = True
    depends_on_seed: ClassVar[bool] = True

    name: str
    title: str
    searched_as: str = ""
    judged_by_writing: bool = False
    learns_from_little: bool = False

    @property
    def is_searched_per_seed(self) -> bool:
        """Whether the choice depends on what the seed draws."""
        return False

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Give the coordinates that a search goes through, one after another."""
        return ()

    def start(self, rows: int) -> Candidate:
        """Give the candidate that a search for so many training rows starts from."""
        raise NotImplementedError

    def candidate(self, stored: Mapping[str, Any]) -> Candidate:
        """Give the candidate that stands so in the file of results."""
        return self.candidates(**stored)

    def settings(self) -> dict[str, Any]:
        """Give what this method's results depend on beside their candidate and seed, for JSON."""
        return {"kind": self.kind}


@dataclass(frozen=True, kw_only=True)
class HardPrompt(Method):
    """A text that somebody wrote; nothing is trained.

    Args:
        wordings: the names of those to choose among.
        examples: numbers of solved ones to choose among.
        draws: how often examples are drawn for each seed; the search takes the best draw.
    """

    kind = "prompt engineering"
    candidates = WrittenPrompt
    is_tuned = False

    wordings: tuple[str, ...] = tuple(WORDINGS)
    examples: tuple[int, ...] = (0,)
    draws: int = 1

    @property
    def depends_on_seed(self) -> bool:  # type: ignore[override]
        """Whether there are examples, which the seed draws."""
        return any(self.examples)

    @property
    def is_searched_per_seed(self) -> bool:
        """Whether there are examples, which the seed draws."""
        return self.depends_on_seed

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Give the wording, the number of examples, and their draw; then wording and draw again.

        One draw of examples brings out one wording, and another draw another.
        """
        wording = Axis("wording", self.wordings, is_ordered=False)
        examples = Axis("examples", self.examples, is_ordered=False)
        draw = Axis("draw", tuple(range(self.draws)), is_ordered=False)
        return (wording, examples, draw, wording, draw)

    def start(self, rows: int) -> WrittenPrompt:
        """Give the first of all."""
        return WrittenPrompt(self.wordings[0], self.examples[0])

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any method, with the wordings themselves."""
        return super().settings() | {"wordings": {name: asdict(WORDINGS[name]) for name in self.wordings}}


@dataclass(frozen=True, kw_only=True)
class TfIdf(Method):
    """TF-IDF of words and pairs of words, and a logistic regression; no language model at all.

    Args:
        inverse_strengths: of the regularisation; a search starts in the middle.
    """

    kind = "classic baseline"
    candidates = Regularisation
    has_base_model = False

    inverse_strengths: tuple[float, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Give the strength of the regularisation."""
        return (Axis("inverse_strength", self.inverse_strengths),)

    def start(self, rows: int) -> Regularisation:
        """Give the one in the middle."""
        return Regularisation(self.inverse_strengths[len(self.inverse_strengths) // 2])


@dataclass(frozen=True, kw_only=True)
class GradientMethod(Method):
    """A method that trains numbers in or around the language model, by gradients.

    Args:
        learning_rates: to choose among; a search starts in the middle.
        epochs: numbers of training rows, rising, each with the passes over so many that a search starts from.
    """

    candidates = Recipe
    may_show_examples: ClassVar[bool] = False  # a prompt that starts from solved examples has them already

    learning_rates: tuple[float, ...]
    epochs: tuple[tuple[int, int], ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Give learning rate, passes, template, and whether there are solved examples in the prompt."""
        examples = (Axis("shows_examples", (False, True), is_ordered=False),) if self.may_show_examples else ()
        return (
            Axis("learning_rate", self.learning_rates),
            Axis("epochs", PASSES),
            Axis("template", tuple(TEMPLATES), is_ordered=False),
            *examples,
        )

    def start(self, rows: int) -> Recipe:
        """Give the middle of the rates, with the passes over so many rows, or over the next number that has any."""
        epochs = next((epochs for known, epochs in self.epochs if known >= rows), self.epochs[-1][1])
        return Recipe(self.learning_rates[len(self.learning_rates) // 2], epochs)

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any method, with the templates themselves."""
        return super().settings() | {"templates": TEMPLATES}


@dataclass(frozen=True, kw_only=True)
class PromptTuning(GradientMethod):
    """A soft prompt: vectors in front of the input.

    Args:
        virtual_tokens: how many vectors.
        init_method: ``"text"`` or ``"random"``.
    """

    kind = "prompt tuning"

    virtual_tokens: int
    init_method: str

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any such method, with those of the soft prompt."""
        return super().settings() | {"virtual_tokens": self.virtual_tokens, "init_method": self.init_method}


@dataclass(frozen=True, kw_only=True)
class StartingText(Method):
    """The words that a soft prompt starts from, and its template, as a hard prompt: all that is not trained of it.

    Args:
        virtual_tokens: how many tokens of the text.
    """

    kind = "text that a soft prompt starts from"
    candidates = Recipe
    is_tuned = False
    depends_on_seed = False

    virtual_tokens: int

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any method, with the length of the text and the templates."""
        return super().settings() | {"virtual_tokens": self.virtual_tokens, "templates": TEMPLATES}


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(GradientMethod):
    """Keys and values in front of the input, at every layer, which start from text.

    Args:
        virtual_tokens: how many of each a layer gets.
    """

    kind = "prefix tuning"

    virtual_tokens: int

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any such method, with the length of the prefix."""
        return super().settings() | {"virtual_tokens": self.virtual_tokens}


@dataclass(frozen=True, kw_only=True)
class LoRA(GradientMethod):
    """Small matrices beside the large ones.

    Args:
        rank: the thin side of these matrices.
    """

    kind = "LoRA"
    may_show_examples = True

    rank: int

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any such method, with the rank."""
        return super().settings() | {"rank": self.rank}


@dataclass(frozen=True, kw_only=True)
class FullFineTuning(GradientMethod):
    """All weights of the model."""

    kind = "full fine-tuning"
    may_show_examples = True


# A few vectors in front of a frozen model take more passes to learn than its own weights do.
_FEW_PARAMETERS = ((20, 16), (80, 8), (320, 4))
_MANY_PARAMETERS = ((20, 8), (80, 4), (320, 2))
_FROM_TEXT = (0.005, 0.01, 0.02, 0.04, 0.08)  # learning rates

METHODS: tuple[Method, ...] = (
    HardPrompt(name="instruction", title="the lesson's instruction alone", wordings=("instruction",)),
    HardPrompt(name="zero-shot", title="hard prompt, no examples"),
    HardPrompt(
        name="zero-shot-written",
        title="hard prompt, no examples, chosen by writing",
        searched_as="zero-shot",
        judged_by_writing=True,
    ),
    HardPrompt(name="few-shot", title="hard prompt, 4 or 8 examples", examples=(4, 8), draws=6),
    HardPrompt(
        name="few-shot-written",
        title="hard prompt, 4 or 8 examples, chosen by writing",
        searched_as="few-shot",
        judged_by_writing=True,
        examples=(4, 8),
        draws=6,
    ),
    StartingText(
        name="starting-text",
        title="the text that 100 virtual tokens start from",
        searched_as="prompt-100",
        virtual_tokens=100,
    ),
    PromptTuning(
        name="prompt-20",
        title="prompt tuning, 20 virtual tokens",
        learning_rates=_FROM_TEXT,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
        init_method="text",
    ),
    PromptTuning(
        name="prompt-100",
        title="prompt tuning, 100 virtual tokens",
        learns_from_little=True,
        learning_rates=_FROM_TEXT,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=100,
        init_method="text",
    ),
    PromptTuning(
        name="prompt-100-random",
        title="prompt tuning, 100 virtual tokens, random start",
        learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=100,
        init_method="random",
    ),
    PrefixTuning(
        name="prefix-20",
        title="prefix tuning, 20 virtual tokens",
        learns_from_little=True,
        learning_rates=(0.003, 0.01, 0.03, 0.06, 0.1),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
    ),
    LoRA(
        name="lora-8",
        title="LoRA, rank 8",
        learns_from_little=True,
        learning_rates=(0.0003, 0.001, 0.003, 0.006, 0.01),
        epochs=_MANY_PARAMETERS,
        rank=8,
    ),
    FullFineTuning(
        name="full",
        title="full fine-tuning",
        learns_from_little=True,
        learning_rates=(0.000003, 0.00001, 0.00003, 0.0001, 0.0003),
        epochs=_MANY_PARAMETERS,
    ),
    TfIdf(
        name="tf-idf",
        title="TF-IDF, logistic regression",
        learns_from_little=True,
        inverse_strengths=(0.1, 1.0, 10.0, 100.0, 1000.0),
    ),
)
