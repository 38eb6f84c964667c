"""Labels: which there are, and reading one out of a model's answer."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from .writing_systems import fold, word_edges

LABELS = ("0", "1")

LETTER = r"[^\W_]"  # or a digit; an underscore is a mark of emphasis, like an asterisk
JOINT = r"(?:[,_\-]|(?<!\d)\.|\.(?!\d))"  # what joins labels without a blank; a point, unless it is one in a number
# With these two characters right before or behind it, a label is part of a number, a name or a word.
BEGUN = re.compile(rf"{LETTER}[._\-\u2212]|\d,")
CONTINUED = re.compile(rf"[.,]\d|[_\-]{LETTER}")
DOUBTFUL = (".", "-", "\u2212")  # right before a label
WHOLE = re.compile(r"(-?\d+)\.0+")  # a whole number, as a table with a gap in that column has it


def parse_label(answer: object, labels: Sequence[str] = LABELS) -> str | None:
    """Read a label out of a model's answer.

    The first line that names a label counts, since a model that was not told to stop may continue with examples of
    its own. A label must stand by itself: ``10``, ``1.5`` and ``1,5`` name no ``1``, but ``1.0``, ``"1"`` and
    ``Label: 1`` do. ``1,0`` names two labels, and so does any other row of labels. Where one label is part of another,
    the longer one counts where it stands. In scripts without blanks between words, such as Chinese, punctuation, a
    line's end or another script must stand beside a label: ``不满意`` names no ``满意``, and neither does ``我很满意``.

    Args:
        answer: the generated text; anything that is not text is unusable.
        labels: the labels there are; upper and lower case, and one or several blanks, are not told apart.

    Returns:
        The label; ``None`` if the answer names none, or if that line names two different ones.

    Raises:
        ValueError: if there are no labels, if one is empty, of several lines or no text, or if two differ only in case
            or blanks.
    """
    known = _known(tuple(labels))
    if not isinstance(answer, str):
        return None
    for line in map(fold, answer.splitlines()):
        if line in known:
            return known[line]
        mentions = list(_mentions(line, known))
        if any(mention.sure for mention in mentions):
            named = set().union(*(mention.labels for mention in mentions))
            return named.pop() if len(named) == 1 else None
    return None


def true_label(value: object, labels: Sequence[str]) -> str | None:
    """Find the label that a row's output is.

    Args:
        value: the output, as text or as a number.
        labels: the labels there are.

    Returns:
        The label; ``None`` if it is none.

    Raises:
        ValueError: as in :func:`parse_label`.
    """
    return _known(tuple(labels)).get(fold(str(value))) or parse_label(str(value), labels)


def labels_of(truth: Iterable[object]) -> tuple[str, ...]:
    """Collect the labels of rows.

    Args:
        truth: the right label of each row, as text or as a number. Spellings that differ only in case or blanks are
            one label, written as in the first of its rows.

    Returns:
        The labels in the order of numbers or of the alphabet; ``("0", "1")`` also where only one of these two occurs.

    Raises:
        ValueError: if a row has no label.
    """
    spellings: dict[str, str] = {}
    for row, value in enumerate(truth):
        text = WHOLE.sub(r"\1", str(value).strip())
        if value is None or value != value or not text:
            raise ValueError(f"Row {row} has no label: {value!r}.")
        spellings.setdefault(fold(text), text)
    if spellings and spellings.keys() <= set(LABELS):
        return LABELS
    try:
        order = sorted(spellings, key=float)
    except ValueError:
        order = sorted(spellings)
    return tuple(spellings[folded] for folded in order)


@dataclass(frozen=True)
class _Mention:
    """A label that stands by itself in an answer, or several that are joined, like ``1,0``.

    Args:
        labels: the labels.
        sure: whether they answer. What follows a minus or a point may be part of something else: it counts only
            against another label.
    """

    labels: frozenset[str]
    sure: bool


def _mentions(line: str, known: Mapping[str, str]) -> Iterator[_Mention]:
    """Find the labels in a line that are not part of something else.

    Args:
        line: of an answer, folded.
        known: the labels by their folded text.
    """
    joined, each = _patterns(tuple(known))
    for match in joined.finditer(line):
        before, after = line[max(0, match.start() - 2) : match.start()], line[match.end() : match.end() + 2]
        if not BEGUN.fullmatch(before) and not CONTINUED.fullmatch(after):
            labels = frozenset(known[name] for name in each.findall(match[0]))
            yield _Mention(labels, sure=not before.endswith(DOUBTFUL))


@cache
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Give patterns for labels that stand by themselves, alone or joined, and for each of those that are joined."""
    begin, end = word_edges()
    # Longer labels first, so that "not sure" is not read as "not".
    one = rf"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})(?:\.0+)?{end}"
    return re.compile(rf"{begin}{one}(?:{JOINT}{one})*"), re.compile(rf"(?:^|{JOINT}){one}")


@cache
def _known(labels: tuple[str, ...]) -> dict[str, str]:
    """Check labels, and find each by its folded text.

    Raises:
        ValueError: as in ``parse_label``.
    """
    if not labels:
        raise ValueError("There are no labels to look for.")
    known: dict[str, str] = {}
    for label in labels:
        if not isinstance(label, str):
            raise ValueError(f"Labels must be text, but {label!r} is of type {type(label).__name__}.")
        if not fold(label) or len(label.splitlines()) > 1:
            raise ValueError(f"No answer can name the label {label!r}: it must be one line that is not empty.")
        other = known.setdefault(fold(label), label)
        if other != label:
            raise ValueError(f"The labels {other!r} and {label!r} differ only in upper and lower case, or in blanks.")
    return known
