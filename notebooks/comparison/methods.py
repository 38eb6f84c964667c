"""The methods that are compared: what each of them needs, and the candidates that its search chooses among.

Importing this module is cheap; it needs no torch.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from .hard_prompts import WORDINGS


@dataclass(frozen=True)
class PromptCandidate:
    """A hard prompt that a search may choose.

    Args:
        wording: its name among the wordings.
        examples: how many solved ones are shown first.
    """

    wording: str
    examples: int


Candidate = float | PromptCandidate


def candidate_as_json(candidate: Candidate) -> Any:
    """Give what stands for a candidate in the file of results."""
    return asdict(candidate) if isinstance(candidate, PromptCandidate) else candidate


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to teach the task.

    Args:
        name: short, as in the names of results.
        title: as people read it.
        candidates: what the search chooses among.
        searched_as: name of the method whose search counts, if it is not this one's own.
        learns_from_little: whether it is also measured on fewer rows.
    """

    kind: ClassVar[str]  # in the file of results
    has_base_model: ClassVar[bool] = True

    name: str
    title: str
    candidates: tuple[Candidate, ...] = ()
    searched_as: str = ""
    learns_from_little: bool = False

    @property
    def is_searched_per_seed(self) -> bool:
        """Whether the choice depends on what the seed draws."""
        return False

    def candidate(self, stored: Any) -> Candidate:
        """Give the candidate that stands so in the file of results."""
        return next(candidate for candidate in self.candidates if candidate_as_json(candidate) == stored)

    def describe(self, candidate: Candidate) -> str:
        """Say in words what was tried."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Give all that this method's results depend on, for JSON: not its name, nor how often it is measured."""
        fields = asdict(self)
        for name in ("name", "title", "searched_as", "learns_from_little"):
            del fields[name]
        return {"kind": self.kind, **fields}


@dataclass(frozen=True, kw_only=True)
class HardPrompt(Method):
    """A text that somebody wrote; nothing is trained.

    Args:
        candidates: wordings, each with a number of examples.
    """

    kind = "prompt engineering"

    candidates: tuple[PromptCandidate, ...]

    @property
    def is_searched_per_seed(self) -> bool:
        """Whether there are examples, which the seed draws."""
        return any(candidate.examples for candidate in self.candidates)

    def describe(self, candidate: Candidate) -> str:
        """Name the wording, and the number of examples if there are any."""
        assert isinstance(candidate, PromptCandidate)
        return candidate.wording + (f", {candidate.examples} examples" if candidate.examples else "")

    def settings(self) -> dict[str, Any]:
        """Give the settings as of any method, with the wordings themselves."""
        names = dict.fromkeys(candidate.wording for candidate in self.candidates)
        return super().settings() | {"wordings": {name: asdict(WORDINGS[name]) for name in names}}


@dataclass(frozen=True, kw_only=True)
class TfIdf(Method):
    """TF-IDF of words and pairs of words, and a logistic regression; no language model at all.

    Args:
        candidates: inverse strengths of the regularisation.
    """

    kind = "classic baseline"
    has_base_model = False

    def describe(self, candidate: Candidate) -> str:
        """Name the inverse strength as scikit-learn does."""
        return f"C = {candidate:g}"


@dataclass(frozen=True, kw_only=True)
class GradientMethod(Method):
    """A method that trains numbers in or around the language model, by gradients.

    Args:
        candidates: learning rates.
        epochs: numbers of training rows, rising, each with the passes over so many. Fewer rows get more of them, as
            one does in practice.
    """

    epochs: tuple[tuple[int, int], ...]

    def epochs_on(self, rows: int) -> int:
        """Give the passes over so many training rows, or over the next number above that has any."""
        return next((epochs for known, epochs in self.epochs if known >= rows), self.epochs[-1][1])

    def describe(self, candidate: Candidate) -> str:
        """Name the learning rate."""
        return f"learning rate {np.format_float_positional(float(candidate))}"  # type: ignore[arg-type]


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


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(GradientMethod):
    """Keys and values in front of the input, at every layer, which start from text.

    Args:
        virtual_tokens: how many of each a layer gets.
    """

    kind = "prefix tuning"

    virtual_tokens: int


@dataclass(frozen=True, kw_only=True)
class LoRA(GradientMethod):
    """Small matrices beside the large ones.

    Args:
        rank: the thin side of these matrices.
    """

    kind = "LoRA"

    rank: int


@dataclass(frozen=True, kw_only=True)
class FullFineTuning(GradientMethod):
    """All weights of the model."""

    kind = "full fine-tuning"


# A few vectors in front of a frozen model take more passes to learn than its own weights do.
_FEW_PARAMETERS = ((20, 6), (80, 4), (320, 3))
_MANY_PARAMETERS = ((20, 6), (80, 3), (320, 1))

METHODS: tuple[Method, ...] = (
    HardPrompt(
        name="zero-shot",
        title="hard prompt, no examples",
        candidates=tuple(PromptCandidate(wording, 0) for wording in WORDINGS),
    ),
    HardPrompt(
        name="few-shot",
        title="hard prompt, 4 or 8 examples",
        candidates=tuple(PromptCandidate(wording, examples) for wording in WORDINGS for examples in (4, 8)),
    ),
    PromptTuning(
        name="prompt-20",
        title="prompt tuning, 20 virtual tokens",
        searched_as="prompt-50",
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
        init_method="text",
    ),
    PromptTuning(
        name="prompt-50",
        title="prompt tuning, 50 virtual tokens",
        candidates=(0.01, 0.02, 0.04),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=50,
        init_method="text",
    ),
    PromptTuning(
        name="prompt-100",
        title="prompt tuning, 100 virtual tokens",
        searched_as="prompt-50",
        learns_from_little=True,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=100,
        init_method="text",
    ),
    PromptTuning(
        name="prompt-50-random",
        title="prompt tuning, 50 virtual tokens, random start",
        candidates=(0.03, 0.1, 0.3),
        epochs=_FEW_PARAMETERS,
        virtual_tokens=50,
        init_method="random",
    ),
    PrefixTuning(
        name="prefix-20",
        title="prefix tuning, 20 virtual tokens",
        candidates=(0.01, 0.03, 0.1),
        learns_from_little=True,
        epochs=_FEW_PARAMETERS,
        virtual_tokens=20,
    ),
    LoRA(
        name="lora-8",
        title="LoRA, rank 8",
        candidates=(0.001, 0.003, 0.01),
        learns_from_little=True,
        epochs=_MANY_PARAMETERS,
        rank=8,
    ),
    FullFineTuning(
        name="full",
        title="full fine-tuning",
        candidates=(0.00001, 0.00003, 0.0001),
        learns_from_little=True,
        epochs=_MANY_PARAMETERS,
    ),
    TfIdf(
        name="tf-idf",
        title="TF-IDF, logistic regression",
        candidates=(1.0, 10.0, 100.0),
        learns_from_little=True,
    ),
)
