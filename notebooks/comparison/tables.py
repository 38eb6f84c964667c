"""The tables of the comparison: data frames that Jupyter shows, with figures as people read them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from prompt_tuning_helpers.evaluation import with_interval

from .hard_prompts import WORDINGS
from .language import say, whole
from .methods import TEMPLATES, Method, StartingText
from .results import Comparison, Measured, Searched

if TYPE_CHECKING:
    import pandas as pd

NONE = "–"  # noqa: RUF001 an en dash
MINUS = "−"  # noqa: RUF001 a real one, as wide as a plus
NO_BREAK_SPACE, WORD_JOINER = "\u00a0", "\u2060"


def show_wordings() -> "pd.DataFrame":
    """Show the hard prompts that are tried, without their examples.

    Returns:
        One row a wording: the question, and the two words to choose between.
    """
    from prompt_tuning_helpers.evaluation.reading import ReadingTable

    rows = {
        name: {
            say("question"): wording.template,
            say("not satisfied, satisfied"): " / ".join(word.strip() for word in wording.words),
        }
        for name, wording in WORDINGS.items()
    }
    return ReadingTable.from_dict(rows, orient="index")


def show_templates() -> "pd.DataFrame":
    """Show the templates that each trained method may choose among.

    Returns:
        One row a template: what stands around a prompt of the lesson's files, which is ``{{input}}``.
    """
    from prompt_tuning_helpers.evaluation.reading import ReadingTable

    return ReadingTable({say("template"): {name: repr(template)[1:-1] for name, template in TEMPLATES.items()}})


def show_methods(comparison: Comparison) -> "pd.DataFrame":
    """Show the main table: what each method trains, and how well it answers with the largest number of training rows.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a method.
    """
    rows = {
        say(found.method.title): {
            say("trained parameters"): whole(cost.trained_parameters),
            say("share of the model"): share(found.method, cost.trained_parameters, comparison),
            say("accuracy, choosing"): with_interval(found.accuracy, found.accuracy_interval),
            say("accuracy, writing freely"): _written(found),
            say("F1, choosing"): with_interval(found.f1, found.f1_interval),
        }
        for found in comparison.with_all_rows
        if (cost := found.cost)
    }
    return _unbroken_table(rows)


def show_costs(comparison: Comparison) -> "pd.DataFrame":
    """Show what each method costs with the largest number of training rows.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a method.
    """
    rows = {
        say(found.method.title): {
            say("passes"): NONE if found.passes is None else str(found.passes),
            say("one pass"): NONE if found.pass_seconds is None else seconds(found.pass_seconds),
            say("whole tuning"): seconds(cost.tuning_seconds),
            say("memory of tuning"): memory(cost.tuning_memory_mb),
            say("memory of answering"): memory(cost.answering_memory_mb),
            say("time per review"): milliseconds(cost.scoring_ms),
            say("saved"): size(cost.saved_bytes),
        }
        for found in comparison.with_all_rows
        if (cost := found.cost)
    }
    return _unbroken_table(rows)


def show_little_data(comparison: Comparison) -> "pd.DataFrame":
    """Show accuracy by the number of training rows, for the methods that were taught with fewer rows, too.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a method, one column a number of rows.
    """
    rows: dict[str, dict[str, str]] = {}
    for found in comparison.measured:
        if found.method.learns_from_little:
            cells = rows.setdefault(say(found.method.title), {})
            cells[say("{rows} rows", rows=found.rows)] = with_interval(found.accuracy, found.accuracy_interval)
    return _unbroken_table(rows)


def show_searches(comparison: Comparison) -> "pd.DataFrame":
    """Show what the searches tried, how well it did on training rows that were held back, and what they chose.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a method, number of training rows and candidate. Where there was a search for each draw of rows, the
        figures are means of those that tried the candidate.
    """
    import pandas as pd

    by_cell: dict[tuple[str, int], list[Searched]] = {}
    # The text that a soft prompt starts from is not searched: it has the template that was chosen for the soft prompt.
    searched = [found for found in comparison.searched if not isinstance(found.method, StartingText)]
    for found in searched:
        by_cell.setdefault((say(found.method.title), found.rows), []).append(found)
    rows = {}
    for (title, count), group in by_cell.items():
        for candidate in dict.fromkeys(candidate for search in group for candidate in search.scores):
            scores = [search.scores[candidate] for search in group if candidate in search.scores]
            times = sum(search.chosen == candidate for search in group)
            diverged = any(score.diverged for score in scores)
            rows[title, count, candidate.describe(say)] = {
                say("accuracy, choosing"): NONE if diverged else f"{np.mean([score.accuracy for score in scores]):.3f}",
                say("accuracy, writing freely"): NONE
                if diverged
                else f"{np.mean([score.written for score in scores]):.3f}",
                say("loss"): say("diverged") if diverged else f"{np.mean([score.loss for score in scores]):.3f}",
                say("chosen"): _chosen(times, len(group)),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=[say("method"), say("training rows"), say("tried")])
    return table


def _chosen(times: int, searches: int) -> str:
    """Say how many of the searches chose a candidate."""
    if times == 0:
        return ""
    return say("yes") if times == searches else say("{times} of {searches} times", times=times, searches=searches)


def show_virtual_tokens(comparison: Comparison) -> "pd.DataFrame":
    """Show what was seen inside the soft prompt, one virtual token after the other.

    Args:
        comparison: what ``load`` returns.

    Returns:
        For each virtual token the text that it started as, the words that it is nearest to now, each with its cosine,
        how far it moved, and the accuracy without it.
    """
    import pandas as pd

    rows = [
        {
            say("started as"): quote(token["before"][0]["token"]),
            say("nearest words now"): ", ".join(
                f"{quote(word['token'])} {word['cosine']:.2f}" for word in token["after"]
            ),
            say("moved"): f"{token['moved']:.2f}",
            say("accuracy without it"): f"{token['accuracy_without']:.3f}",
        }
        for token in comparison.opened["tokens"]
    ]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name=say("virtual token")))


def _written(found: Measured) -> str:
    """Write the accuracy of writing freely; a dash where there is no language model, which alone writes."""
    return with_interval(found.written_accuracy, found.written_interval) if found.method.has_base_model else NONE


def _unbroken_table(rows: Mapping[str, Mapping[str, str]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame.from_dict(rows, orient="index").map(unbroken)


def unbroken(text: str) -> str:
    """Write a short text of figures so that no line ends within it, in a narrow cell of a table for instance."""
    dash = NONE if text == NONE else f"{WORD_JOINER}{NONE}{WORD_JOINER}"
    return text.replace(" ", NO_BREAK_SPACE).replace(NONE, dash)


def signed(value: float) -> str:
    """Write a difference with its sign, and one decimal."""
    return f"{value:+.1f}".replace("-", MINUS)


def share(method: Method, parameters: int, comparison: Comparison) -> str:
    """Write the share of the base model's parameters in percent; a dash where there is no such model."""
    if not method.has_base_model:
        return NONE
    percent = 100 * parameters / comparison.base_parameters
    return percentage(percent, decimals=3 if 0 < percent < 1 else 0)


def percentage(percent: float, decimals: int) -> str:
    """Write a percentage; whether there is a blank before the sign, the language says."""
    return say("{number} %", number=f"{percent:.{decimals}f}")


def size(amount: float) -> str:
    """Write a number of bytes in a readable unit."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if amount >= factor:
            number = amount / factor
            return f"{whole(number) if number >= 10 else f'{number:.1f}'} {unit}"
    return f"{amount:.0f} B"


def memory(amount: float | None) -> str:
    """Write an amount of memory; a dash where there is none."""
    return NONE if amount is None else f"{two_digits(amount)} MiB"


def seconds(amount: float) -> str:
    """Write a time in seconds."""
    return say("none") if amount == 0 else f"{two_digits(amount)} s"


def milliseconds(amount: float) -> str:
    """Write a short time in milliseconds."""
    return f"{two_digits(amount)} ms"


def two_digits(amount: float) -> str:
    """Write an amount with two significant digits; what is measured here is not more certain than that."""
    rounded = float(f"{amount:.2g}")
    return whole(rounded) if rounded >= 10 or rounded == 0 else f"{rounded:#.2g}"


def times(one: float | None, other: float | None) -> str:
    """Write one as a multiple of the other; a fraction where it is far less, a dash where one is not known."""
    if one is None or other is None:
        return NONE
    ratio = one / other
    return f"1/{two_digits(1 / ratio)}" if ratio < 0.1 else f"{two_digits(ratio)} ×"  # noqa: RUF001


def quote(token: str) -> str:
    """Write a token with its blanks to be seen; characters that cannot be shown are written as escapes."""
    return repr(token)
