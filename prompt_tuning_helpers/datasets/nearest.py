"""For each text a nearly equal one among those before it, or among others, without comparing all with all.

Two things keep the work from growing with the square of the number of texts. Texts without a nearly equal one come
first: where thousands are alike, each is compared with the first of them, and with the others only if that one is too
far. And whoever shares too few of his rarest shingles with a text cannot be nearly equal to it, so only the rest is
compared in full: prefix filtering (Chaudhuri, Ganti and Kaushik, 2006, https://doi.org/10.1109/ICDE.2006.9), with more
than one shared shingle asked for, as Wang, Li and Feng do (2012, https://doi.org/10.1145/2213836.2213847). Both leave
no text out.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from .similarity import NEARLY_SAME, shingles

BLOCK = 1024  # texts at a time
COMPARED = 2**15  # pairs at a time
SHARED = 16  # of their rarest shingles, which texts that are nearly equal share, if they have so many

Near = tuple[float, int]  # similarity, and the position of the text


def nearest_pairs(
    left: Sequence[str], right: Sequence[str] | None = None, limit: float = NEARLY_SAME
) -> Iterator[tuple[int, int, float]]:
    """Find for each text that has nearly equal ones one of these.

    Which one that is depends on the texts that come first: of those that have no nearly equal one before them it is
    the nearest; where all of these are too far, the nearest of the others. Of equally near ones, it is the first.

    Args:
        left: texts.
        right: texts to compare them with; by default, those before each text in ``left``.
        limit: above 0 and up to 1, the least similarity to report: shared shingles by all shingles (Jaccard).

    Yields:
        Position on the left, position on the right, similarity; in the order of the left.
    """
    if not left or (right is not None and not right):
        return
    compared_with = left if right is None else right
    texts = _Texts([*compared_with] if right is None else [*compared_with, *left], limit)
    firsts: list[int] = []  # without a nearly equal one before them
    others: list[int] = []
    for start in range(0, len(compared_with), BLOCK):
        block = list(range(start, min(start + BLOCK, len(compared_with))))
        near = _within_block(texts, block, firsts, others)
        firsts += [text for text in block if text not in near]
        others += near
        if right is None:
            yield from ((text, other, similarity) for text, (similarity, other) in near.items())
    if right is None:
        return
    for start in range(len(right), len(right) + len(left), BLOCK):
        block = list(range(start, min(start + BLOCK, len(right) + len(left))))
        near = texts.nearest(block, firsts)
        near |= texts.nearest([text for text in block if text not in near], others)
        yield from ((text - len(right), other, similarity) for text, (similarity, other) in sorted(near.items()))


def _within_block(texts: "_Texts", block: list[int], firsts: list[int], others: list[int]) -> dict[int, Near]:
    """Find what is near each text of a block, among those before the block and those before it in the block."""
    near_first = texts.nearest(block, firsts)
    new = [text for text in block if text not in near_first]
    old = list(near_first)
    near_other = texts.nearest(new, others)
    in_block: dict[int, list[Near]] = defaultdict(list)
    for pairs in (texts.pairs(block, new), texts.pairs(new, old)):
        for text, other, similarity in pairs:
            if other < text:
                in_block[text].append((similarity, other))
    near: dict[int, Near] = {}
    for text in block:
        to_firsts = [pair for pair in in_block[text] if pair[1] not in near and pair[1] not in near_first]
        to_firsts += [near_first[text]] if text in near_first else []
        to_others = in_block[text] + ([near_other[text]] if text in near_other else [])
        if found := to_firsts or to_others:
            near[text] = _nearest_of(found)
    return near


def _nearest_of(pairs: Sequence[Near]) -> Near:
    return min(pairs, key=lambda pair: (-pair[0], pair[1]))


class _Texts:
    """Texts as sets of shingles, the rarest first.

    Args:
        texts: all texts that are compared.
        limit: the least similarity that counts.
    """

    def __init__(self, texts: Sequence[str], limit: float) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer

        rows = CountVectorizer(analyzer=shingles, binary=True, dtype="int32").fit_transform(texts)
        rows = rows[:, np.argsort(rows.getnnz(axis=0), kind="stable")].tocsr()
        rows.sort_indices()
        self._rows, self._limit = rows, limit
        self._sizes = rows.getnnz(axis=1)
        # Two texts share at least this part of the larger one, up to rounding.
        least = np.ceil(limit * self._sizes - 1e-9).astype(int)
        self._least_shared = np.minimum(SHARED, least)
        self._rarest = _first_of_each_row(rows, self._sizes - least + self._least_shared)

    def nearest(self, texts: list[int], others: list[int]) -> dict[int, Near]:
        """Find the nearest of some texts for each of others that is near enough to one."""
        near: dict[int, Near] = {}
        for text, other, similarity in self.pairs(texts, others):
            near[text] = _nearest_of([near.get(text, (similarity, other)), (similarity, other)])
        return near

    def pairs(self, texts: list[int], others: list[int]) -> Iterator[tuple[int, int, float]]:
        """Compare texts with others; give the pairs that are near enough, with their similarity."""
        import numpy as np

        if not texts or not others:
            return
        rarest = (self._rarest[texts] @ self._rarest[others].T).tocoo()
        # Most pairs end here, so the others alone are looked up.
        possible = rarest.data >= self._least_shared[texts][rarest.row]
        one, other = np.array(texts)[rarest.row[possible]], np.array(others)[rarest.col[possible]]
        for start in range(0, len(one), COMPARED):
            i, j = one[start : start + COMPARED], other[start : start + COMPARED]
            shared = np.asarray(self._rows[i].multiply(self._rows[j]).sum(axis=1)).ravel()
            similarity = shared / (self._sizes[i] + self._sizes[j] - shared)
            near = similarity >= self._limit
            yield from zip(i[near].tolist(), j[near].tolist(), similarity[near].tolist(), strict=True)


def _first_of_each_row(rows: Any, counts: Any) -> Any:
    """Cut the rows of a sparse matrix off after so many entries each."""
    import numpy as np

    place = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
    kept = rows.copy()
    kept.data = (place < np.repeat(counts, np.diff(rows.indptr))).astype(rows.dtype)
    kept.eliminate_zeros()
    return kept
