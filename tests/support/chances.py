"""How long tests that work at random go on, and from which seed: the same each time by default, else by two variables.

``LONG_TESTS=1`` gives them their long form with a fresh seed, as each night; ``TEST_SEED`` repeats one that failed.
"""

import os
import random

LONG = bool(os.environ.get("LONG_TESTS"))


def choose_seed() -> int:
    """The seed of a test, printed so that a run that failed can be repeated as far as its moments can."""
    seed = int(os.environ.get("TEST_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 0))
    print(f"TEST_SEED={seed}")
    return seed
