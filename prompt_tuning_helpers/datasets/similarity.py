"""Which texts are nearly the same, leaving aside the prompt around them, case and punctuation."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SHINGLE = 5  # characters
NEARLY_SAME = 0.7  # the share of common shingles from which two texts count as nearly the same
PROMPT_INPUTS = 5  # distinct inputs, from which what they all share is taken to be the prompt and not the text


class Prompt(NamedTuple):
    """What stands before and after the text in an input.

    Args:
        head: what the input begins with.
        tail: what it ends with.
    """

    head: str = ""
    tail: str = ""

    def is_around(self, text: str) -> bool:
        """Tell whether an input has this prompt.

        Args:
            text: an input.
        """
        return text.startswith(self.head) and text.endswith(self.tail)

    def inside(self, text: str) -> str:
        """Take this prompt off an input.

        Args:
            text: an input.
        """
        return text.removeprefix(self.head).removesuffix(self.tail)


def prompt_around(inputs: Iterable[str]) -> Prompt:
    """Find the prompt that inputs share, so that they can be compared by what is in it.

    Args:
        inputs: all inputs of a file.

    Returns:
        What all of them begin with, up to a colon or the end of a line, and the lines that all of them end with. Both
        are empty for fewer than five different inputs, where anything may be shared by chance.
    """
    texts = set(inputs)
    if len(texts) < PROMPT_INPUTS:
        return Prompt()
    head = _shared_start(texts)
    head = head[: max(head.rfind(":"), head.rfind("\n")) + 1]
    tail = _shared_start(text[len(head) :][::-1] for text in texts)[::-1]
    return Prompt(head, tail[tail.find("\n") :] if "\n" in tail else "")


def _shared_start(texts: Iterable[str]) -> str:
    # what the first and the last in alphabetical order share, all between them share too
    texts = sorted(texts)
    pairs = enumerate(zip(texts[0], texts[-1], strict=False))
    return texts[0][: next((i for i, (a, b) in pairs if a != b), len(texts[0]))]


def normalised(text: str) -> str:
    """Reduce a text to what it is compared by: its words in lower case.

    Args:
        text: any text. One without a word, such as a row of emoji, is compared as it is.
    """
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def shingles(text: str) -> list[str]:
    """Cut a text into overlapping pieces of five characters; case and punctuation do not count.

    Args:
        text: any text.
    """
    words = f" {normalised(text)} "
    return [words[i : i + SHINGLE] for i in range(max(1, len(words) - SHINGLE + 1))]


def similar_pairs(
    left: Sequence[str], right: Sequence[str] | None = None, limit: float = NEARLY_SAME
) -> Iterator[tuple[int, int, float]]:
    """Find texts that are nearly the same.

    Args:
        left: texts.
        right: texts to compare them with; by default, those before each text in ``left``.
        limit: from 0 to 1, the least similarity to report: shared shingles by all shingles (Jaccard).

    Yields:
        Position on the left, position on the right, similarity.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not left or (right is not None and not right):
        return
    vectorizer = CountVectorizer(analyzer=shingles, binary=True, dtype="int32")
    vectorizer.fit([*left, *(right or [])])
    rows = vectorizer.transform(left)
    columns = rows if right is None else vectorizer.transform(right)
    row_sizes, column_sizes = rows.sum(axis=1).A1, columns.sum(axis=1).A1
    step = 256  # rows at a time: all pairs at once would not fit into memory for thousands of rows
    for start in range(0, len(left), step):
        end = min(start + step, len(left))
        shared = (rows[start:end] @ columns[: end if right is None else None].T).tocoo()
        i, j = shared.row + start, shared.col
        similarity = shared.data / (row_sizes[i] + column_sizes[j] - shared.data)
        found = similarity >= limit if right is not None else (similarity >= limit) & (j < i)
        yield from zip(i[found].tolist(), j[found].tolist(), similarity[found].tolist(), strict=True)
