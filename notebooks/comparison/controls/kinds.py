"""The kinds of jobs that compute the controls, and the names of what is compared.

Importing this module is cheap; it needs no torch.
"""

from dataclasses import dataclass
from typing import ClassVar

# Each differs from the tuned soft prompt in one respect; see ``findings.variants``.
START, TUNED, RANDOM, DEALT, SHUFFLED, MOVES, HALF, FURTHER = (
    "start",
    "tuned",
    "random direction",
    "other token's move",
    "shuffled",
    "moves alone",
    "half the way",
    "half the way further",
)
VARIANTS = (START, TUNED, RANDOM, DEALT, SHUFFLED, MOVES, HALF, FURTHER)
DRAWN = (RANDOM, DEALT, SHUFFLED)  # what is random in these is drawn several times

# What a soft prompt for tickets starts from.
REVIEWS_TEXT, REVIEWS_TUNED, REVIEWS_RANDOM, TICKETS_TEXT = (
    "the reviews' text",
    "tuned on reviews",
    "moved as far at random",
    "solved tickets",
)
STARTS = (REVIEWS_TEXT, REVIEWS_TUNED, REVIEWS_RANDOM, TICKETS_TEXT)


@dataclass(frozen=True)
class Job:
    """One thing to compute."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Of its result."""
        return self.kind

    @property
    def needs(self) -> tuple["Job", ...]:
        """The jobs that have to be done before."""
        return ()


@dataclass(frozen=True)
class OfSeed(Job):
    """A job about the soft prompt of one seed.

    Args:
        seed: the seed.
    """

    seed: int

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: seed {self.seed}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The soft prompt."""
        return (Tuning(self.seed),)


@dataclass(frozen=True)
class Tuning(OfSeed):
    """Tunes the soft prompt of a seed on the reviews: the one that the comparison measures."""

    kind = "tuning"

    @property
    def needs(self) -> tuple[Job, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Variant(OfSeed):
    """Scores a soft prompt, or what differs from it in one respect.

    Args:
        variant: its name.
    """

    kind = "variant"

    variant: str

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: {self.variant}, seed {self.seed}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The soft prompt, unless it is asked about as it was before."""
        return () if self.variant == START else super().needs


@dataclass(frozen=True)
class Geometry(OfSeed):
    """Looks where the virtual tokens went, among the words of the vocabulary."""

    kind = "geometry"


@dataclass(frozen=True)
class Attention(OfSeed):
    """Looks how much attention each virtual token gets in each layer."""

    kind = "attention"


@dataclass(frozen=True)
class Line(OfSeed):
    """Scores what lies on the line between the soft prompts of two seeds.

    Args:
        other: the second seed.
    """

    kind = "line"

    other: int

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: seeds {self.seed} and {self.other}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """Both soft prompts."""
        return Tuning(self.seed), Tuning(self.other)


@dataclass(frozen=True)
class Cosines(Job):
    """Compares the moves of each two seeds.

    Args:
        seeds: all of them.
    """

    kind = "cosines"

    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: seeds {', '.join(map(str, self.seeds))}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """All soft prompts."""
        return tuple(map(Tuning, self.seeds))


@dataclass(frozen=True)
class Transfer(OfSeed):
    """Tunes a soft prompt for tickets from a certain start, and scores it before and after each pass.

    Args:
        start: its name.
    """

    kind = "transfer"

    start: str

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: {self.start}, seed {self.seed}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The soft prompt of the reviews, if it starts from it, or from what is as far from its text."""
        return super().needs if self.start in (REVIEWS_TUNED, REVIEWS_RANDOM) else ()


KINDS: tuple[type[Job], ...] = (Tuning, Variant, Geometry, Attention, Line, Cosines, Transfer)
