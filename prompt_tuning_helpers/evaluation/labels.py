"""Labels: reading one out of a model's answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LABELS = ("0", "1")

LETTER = r"[^\W_]"  # or a digit; an underscore is a mark of emphasis, like an asterisk
JOINT = r"(?:[,_\-]|(?<!\d)\.|\.(?!\d))"  # what joins labels without a blank; a point, unless it is one in a number
# With these two characters right before or behind it, a label is part of a number, a name or a word.
BEGUN = re.compile(rf"{LETTER}[._\-\u2212]|\d,")
CONTINUED = re.compile(rf"[.,]\d|[_\-]{LETTER}")
DOUBTFUL = (".", "-", "\u2212")  # right before a label


def parse_label(answer: object, labels: Sequence[str] = LABELS) -> str | None:
    """Read a label out of a model's answer.

    The first line that names a label counts, since a model that was not told to stop may continue with examples of
    its own. A label must stand by itself: ``10``, ``1.5`` and ``1,5`` name no ``1``, but ``1.0``, ``"1"`` and
    ``Label: 1`` do. ``1,0`` names two labels, and so does any other row of labels.

    Args:
        answer: the generated text; anything that is not text is unusable.
        labels: the labels there are; upper and lower case are not told apart.

    Returns:
        The label; ``None`` if the answer names none, or if that line names two different ones.

    Raises:
        ValueError: if there are no labels, if one is empty, of several lines or no text, or if two differ only in case.
    """
    known = _by_folded_case(labels)
    if not isinstance(answer, str):
        return None
    for line in answer.splitlines():
        mentions = list(_mentions(line, known))
        if any(mention.sure for mention in mentions):
            named = set().union(*(mention.labels for mention in mentions))
            return named.pop() if len(named) == 1 else None
    return None


@dataclass(frozen=True)
class _Mention:
    """A label that stands by itself in an answer, or several that are joined, like ``1,0``.

    Args:
        labels: the labels.
        sure: whether they answer. What follows a minus or a point may be part of something else: it counts only
            against another label.
    """

    labels: frozenset[str | None]
    sure: bool


def _mentions(line: str, known: Mapping[str, str]) -> Iterator[_Mention]:
    """Find the labels in a line that are not part of something else.

    Args:
        line: of an answer.
        known: the labels by their text in folded case.
    """
    # Longer labels first, so that "not sure" is not read as "not".
    names = "|".join(re.escape(label) for label in sorted(known.values(), key=len, reverse=True))
    one = rf"({names})(?:\.0+)?(?!{LETTER})"
    joined = re.compile(rf"(?<!{LETTER}){one}(?:{JOINT}{one})*", re.IGNORECASE)
    each = re.compile(rf"(?:^|{JOINT}){one}", re.IGNORECASE)
    for match in joined.finditer(line):
        before, after = line[max(0, match.start() - 2) : match.start()], line[match.end() : match.end() + 2]
        if not BEGUN.fullmatch(before) and not CONTINUED.fullmatch(after):
            labels = frozenset(known.get(name.casefold()) for name in each.findall(match[0]))
            yield _Mention(labels, sure=not before.endswith(DOUBTFUL))


def _by_folded_case(labels: Sequence[str]) -> dict[str, str]:
    """Check labels, and find each by its text in folded case.

    Raises:
        ValueError: as in ``parse_label``.
    """
    if not labels:
        raise ValueError("There are no labels to look for.")
    known: dict[str, str] = {}
    for label in labels:
        if not isinstance(label, str):
            raise ValueError(f"Labels must be text, but {label!r} is of type {type(label).__name__}.")
        if not label.strip() or len(label.splitlines()) > 1:
            raise ValueError(f"No answer can name the label {label!r}: it must be one line that is not empty.")
        other = known.setdefault(label.casefold(), label)
        if other != label:
            raise ValueError(f"The labels {other!r} and {label!r} differ only in upper and lower case.")
    return known
