"""Leaves out tokens of inputs that a run has seen several times, so that it does not learn few rows by heart."""

import random
from collections.abc import Sequence

# So many epochs see all inputs whole. The lesson, which has no more of them, gains nothing by leaving tokens out.
WHOLE_EPOCHS = 3
# Word dropout of Iyyer et al. (2015, https://aclanthology.org/P15-1162, section 3.1), with the share that they use.
SHARE = 0.3


def thinned(tokens: Sequence[int], ending: int, seed: str) -> list[int]:
    """Leave out tokens of an input at random.

    Args:
        tokens: of the input.
        ending: so many at its end stay, at least one: what the template leads to the output with.
        seed: decides which are left out.
    """
    generator = random.Random(seed)
    body, end = tokens[:-ending], tokens[-ending:]
    return [token for token in body if generator.random() >= SHARE] + list(end)
