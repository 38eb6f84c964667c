"""The tables of the controls: data frames that Jupyter shows, with figures as people read them."""

from typing import TYPE_CHECKING

import numpy as np

from ..language import say
from ..tables import quote, unbroken
from .facts import after_pass
from .kinds import VARIANTS
from .results import Controls
from .wording import NAMES, STARTS_AS, count, figure, mean_and_reach, reach

if TYPE_CHECKING:
    import pandas as pd


def show_variants(controls: Controls) -> "pd.DataFrame":
    """Show how well the base model answers after the tuned soft prompts, and after what differs from them.

    Args:
        controls: what ``load_controls`` returns.

    Returns:
        One row a variant: mean accuracy, the least and the greatest over the seeds, and the mean loss. Where something
        is drawn at random, a seed counts with the mean of its draws.
    """
    import pandas as pd

    rows = {
        say(NAMES[name]): {
            say("accuracy"): figure(float(np.mean(controls.accuracies(name)))),
            say("over the seeds"): unbroken(reach(controls.accuracies(name))),
            say("loss"): figure(float(np.mean(controls.losses(name)))),
            say("soft prompts"): f"{sum(len(draws) for draws in controls.variants[name].values())}",
        }
        for name in VARIANTS
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(say("soft prompt"))


def show_geometry(controls: Controls) -> "pd.DataFrame":
    """Show how far each virtual token moved, and whether its word is still the nearest, beside random moves as long.

    Args:
        controls: what ``load_controls`` returns.

    Returns:
        One row a virtual token; figures are means over the seeds.
    """
    import pandas as pd

    rows = []
    for tokens in zip(*controls.tokens, strict=True):
        stayed = sum(token.rank == 1 for token in tokens)

        def mean(name: str, tokens: tuple[object, ...] = tokens, digits: int = 2) -> str:
            return figure(float(np.mean([getattr(token, name) for token in tokens])), digits)

        rows.append(
            {
                say("started as"): quote(tokens[0].word),
                say("moved"): mean("moved"),
                say("cosine to its word"): mean("cosine"),
                say("after random moves"): mean("random_cosine"),
                say("by geometry"): mean("predicted"),
                say("cosine to the nearest other word"): mean("other"),
                say("still nearest"): unbroken(
                    count(len(tokens), "{stayed} of {count} seed", "{stayed} of {count} seeds", stayed=stayed)
                ),
                say("rank after random moves"): mean("random_rank", digits=1),
            }
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name=say("virtual token")))


def show_transfer(controls: Controls) -> "pd.DataFrame":
    """Show how well soft prompts for tickets do from several starts, before tuning and after each pass.

    Args:
        controls: what ``load_controls`` returns.

    Returns:
        One row a start; mean accuracy over the seeds, with the least and the greatest.
    """
    import pandas as pd

    passes = range(controls.plan.tickets.num_epochs + 1)
    rows = {
        say(STARTS_AS[start]): {
            say("after pass {number}", number=number) if number else say("before"): unbroken(
                mean_and_reach(after_pass(scores, number))
            )
            for number in passes
        }
        for start, scores in controls.transfer.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(say("start"))
