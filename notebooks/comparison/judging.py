"""The claims of the lesson: what was measured of each, and verdicts by rules that are written down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prompt_tuning_helpers.evaluation import RESAMPLES, percentile_interval

from .against import NO_BREAK, find, points_with_interval
from .differences import BETTER, WORSE, Way, difference, verdict
from .intervals import Interval
from .language import say
from .plan import Plan
from .results import Comparison, Cost
from .tables import NONE, percentage, share, times

HOLDS, FAILS, UNTOLD, IN_PART = "holds", "does not hold", "cannot be told", "in part"
MARGIN = 0.02  # of accuracy: what may be lost by something that is called no less accurate
ALIKE = 0.05  # costs that differ by a smaller part are called alike
ABOUT = 2.0  # a number is about another from half of that to twice as much
CLAIMED_SHARE = 0.001  # of the model's parameters, which prefix tuning is said to train

SOFT, PREFIX, START = "prompt-100", "prefix-20", "starting-text"
FINE_TUNING = ("full", "lora-8")
AGAINST = {"full": "against full fine-tuning {measured}", "lora-8": "against LoRA {measured}"}
WRITTEN: dict[tuple[str, Way], str] = {
    ("zero-shot", "choosing"): "beats the hard prompt without examples, choosing between the labels",
    ("few-shot", "choosing"): "beats the hard prompt with examples, choosing between the labels",
    ("zero-shot-written", "writing"): "beats the hard prompt without examples, writing freely",
    ("few-shot-written", "writing"): "beats the hard prompt with examples, writing freely",
}
ADDED: dict[Way, str] = {
    "choosing": "what tuning adds to the text it starts from, choosing between the labels",
    "writing": "what tuning adds to the text it starts from, writing freely",
}
HARD = ("zero-shot", "few-shot")
LITTLE = {
    "lora-8": "LoRA",
    "full": "full fine-tuning",
    "prompt-100": "prompt tuning",
    "tf-idf": "TF-IDF",
    "zero-shot": "the hard prompt without examples",
    "few-shot": "the hard prompt with examples",
}
COMPARED = {
    HOLDS: "no less accurate than {rivals}",
    FAILS: "less than {rivals}",
    UNTOLD: "cannot be told from {rivals}",
}
OWN_PASSES = "tuning time, each with its own passes"
COSTS: dict[str, Callable[[Cost], list[float]]] = {
    "trained parameters": lambda cost: [cost.trained_parameters],
    "saved size": lambda cost: [cost.saved_bytes],
    "memory of tuning": lambda cost: [cost.tuning_memory_mb or 0],
    OWN_PASSES: lambda cost: [each * cost.updates for each in cost.update_seconds],
    "time per review": lambda cost: list(cost.review_seconds),
}


@dataclass(frozen=True)
class Part:
    """One thing that a claim says or implies.

    Name, measured and topic are in the language of the notebook.

    Args:
        name: what it is about.
        measured: what was measured of it, in a few words.
        verdict: whether it holds, as one of the words above; they are translated where they are shown.
        counts: whether the verdict on the claim looks at it.
        topic: its name within a sentence, if there is need of one.
    """

    name: str
    measured: str
    verdict: str
    counts: bool = True
    topic: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of the lesson.

    Args:
        title: what it says, in the language of the notebook.
        parts: of it.
    """

    title: str
    parts: tuple[Part, ...]

    @property
    def counting(self) -> tuple[Part, ...]:
        """The parts that its verdict looks at."""
        return tuple(part for part in self.parts if part.counts)

    @property
    def verdict(self) -> str:
        """That of its parts together."""
        return together([part.verdict for part in self.counting])


def judge(comparison: Comparison) -> tuple[Claim, ...]:
    """Give the claims with their verdicts, by these rules.

    * "Cheaper" holds of a *cost* if the ratio lies below 0.95, and does not if it lies above 1.05: costs that differ by
      less than 5 % are called alike, and which is lower cannot be told. Times are measured several times; of them, all
      of the 95 % interval of the ratio has to lie there.
    * *No less accurate* holds if the interval of the difference, choosing between the labels, lies above -2 points,
      unless all of it lies below 0: then it does not hold. Anything else cannot be told.
    * *Beats* holds if the interval of the difference lies above 0, does not hold if it lies below, and cannot be told
      if it holds 0. With fewer rows than the most, the soft prompt is compared with the best hard prompt. What tuning
      adds to the text that a soft prompt starts from is shown but does not count: nobody who writes prompts would be
      content with that text.
    * A number is *about* another from half of it to twice as much.
    * *Does well with little data* is "no less accurate" with fewer training rows than the most, against each rival.
    * A soft prompt *cannot be interpreted* by its nearest words if accuracy falls when each virtual token is replaced
      by the word nearest to it, with all of the interval of the difference below 0. If the interval lies above -2
      points, that does not hold; anything else cannot be told. How many tokens are still nearest to the word that they
      started as is shown but does not count: of tokens moved as far at random, as many are (``plot_geometry``).
    * *Several verdicts together*: if all are the same, that. Otherwise, if one at least is "holds" or "in part", it
      holds in part; if none is, and one is "does not hold", it does not hold.

    Args:
        comparison: what ``load`` returns.
    """
    cheaper = (*_costs(comparison), _level(comparison))
    beats = [_beats(comparison, say(name), other, by) for (other, by), name in WRITTEN.items()]
    beats += [_beats_with_little(comparison, rows) for rows in comparison.plan.rows[:-1]]
    added = [_beats(comparison, say(name), START, by, counts=False) for by, name in ADDED.items()]
    little = [_little(comparison, rows) for rows in little_rows(comparison.plan)]
    return (
        Claim(say("Prompt tuning is cheaper than fine-tuning, and no less accurate"), cheaper),
        Claim(say("Soft prompts beat prompts written by hand"), (*beats, *added)),
        Claim(
            say(
                "Prefix tuning trains about {share} of the parameters and does well with little data",
                share=percentage(100 * CLAIMED_SHARE, decimals=1),
            ),
            (_share(comparison), *little),
        ),
        Claim(
            say("Soft prompts cannot be interpreted by their nearest words"),
            (_as_words(comparison), _kept(comparison)),
        ),
    )


def together(verdicts: Sequence[str]) -> str:
    """Give the verdict on what has several parts; see ``judge`` for the rule."""
    kinds = set(verdicts)
    if len(kinds) == 1:
        return verdicts[0]
    if kinds & {HOLDS, IN_PART}:
        return IN_PART
    return FAILS if FAILS in kinds else UNTOLD


def little_rows(plan: Plan) -> tuple[int, ...]:
    """Give the numbers of training rows that are called little: all but the most, if there are several."""
    return plan.rows[:-1] or plan.rows


def cost_ratio(one: Sequence[float], other: Sequence[float], seed: int = 0) -> tuple[float, Interval]:
    """Give the ratio of two mean costs, with the 95 % interval that their spread gives it.

    Each is resampled by itself; a single figure has no spread.

    Args:
        one: the figures measured.
        other: likewise, above 0.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    means = [generator.choice(np.array(each), (RESAMPLES, len(each))).mean(axis=1) for each in (one, other)]
    return float(np.mean(one) / np.mean(other)), percentile_interval(means[0] / means[1])


def _costs(comparison: Comparison) -> list[Part]:
    """Compare the costs of prompt tuning with those of each way of fine-tuning, kind by kind."""
    one, *others = (find(comparison, method).cost for method in (SOFT, *FINE_TUNING))
    parts = []
    for name, figures in COSTS.items():
        found = [_cheaper(figures(one), figures(other)) if one and other else (NONE, UNTOLD) for other in others]
        topic = say("tuning time") if name == OWN_PASSES else say(name)
        parts.append(_against(say(name), topic, found))
    return parts


def _cheaper(one: Sequence[float], other: Sequence[float]) -> tuple[str, str]:
    """Write the ratio of two costs, with its interval if they have any spread, and say whether the first is lower."""
    if not (one and other and all(one) and all(other)):
        return NONE, UNTOLD  # one is not known
    ratio, (low, high) = cost_ratio(one, other)
    text = times(ratio, 1.0)
    if low < high:
        text = say("{ratio} ({low:.2f} to {high:.2f})", ratio=text, low=low, high=high)
    found = HOLDS if high < 1 - ALIKE else FAILS if low > 1 + ALIKE else UNTOLD
    return text, found


def _level(comparison: Comparison) -> Part:
    """Compare the accuracy of prompt tuning with that of each way of fine-tuning."""
    found = [_no_less(comparison, SOFT, other) for other in FINE_TUNING]
    return _against(say("accuracy, in points"), say("accuracy"), found)


def _against(name: str, topic: str, found: Sequence[tuple[str, str]]) -> Part:
    """Put together what was measured against each way of fine-tuning."""
    texts = [
        say(AGAINST[rival], measured=measured).replace(" ", NO_BREAK)
        for rival, (measured, _) in zip(FINE_TUNING, found, strict=True)
    ]
    return Part(name, say("; ").join(texts), together([verdict for _, verdict in found]), topic=topic)


def _no_less(comparison: Comparison, method: str, other: str, rows: int | None = None) -> tuple[str, str]:
    """Write the difference of two methods' accuracies, and say whether the first is no less accurate."""
    value, interval = difference(find(comparison, method, rows), find(comparison, other, rows))
    return points_with_interval(value, interval), _is_no_less(interval)


def _is_no_less(interval: Interval) -> str:
    low, high = interval
    return FAILS if high < 0 else HOLDS if low > -MARGIN else UNTOLD


def _beats_with_little(comparison: Comparison, rows: int) -> Part:
    """Compare the soft prompt, tuned on few rows, with the best hard one, both choosing."""
    best = max(HARD, key=lambda name: find(comparison, name).accuracy)
    name = say("with {rows} training rows, beats the best hard prompt, choosing between the labels", rows=rows)
    return _beats(comparison, name, best, "choosing", rows=rows)


def _beats(
    comparison: Comparison, name: str, other: str, by: Way, counts: bool = True, rows: int | None = None
) -> Part:
    """Compare the soft prompt with a hard one."""
    soft, hard = find(comparison, SOFT, rows), find(comparison, other)
    text = say("{difference} points", difference=points_with_interval(*difference(soft, hard, by)))
    found = {BETTER: HOLDS, WORSE: FAILS}.get(verdict(soft, hard, by), UNTOLD)
    return Part(name, text, found, counts)


def _share(comparison: Comparison) -> Part:
    """Compare the share of parameters that prefix tuning trains with the one claimed."""
    name = say("trains about {share}", share=percentage(100 * CLAIMED_SHARE, decimals=1))
    known = trained_share(comparison)
    if known is None:
        return Part(name, NONE, UNTOLD)
    value, text = known
    is_about = CLAIMED_SHARE / ABOUT <= value <= CLAIMED_SHARE * ABOUT
    return Part(name, text.replace(" ", NO_BREAK), HOLDS if is_about else FAILS)


def trained_share(comparison: Comparison) -> tuple[float, str] | None:
    """Give the share of the model's parameters that prefix tuning trains, and write it; ``None`` if not known."""
    found, full = find(comparison, PREFIX), find(comparison, "full")
    if found.cost is None or full.cost is None:
        return None
    trained = found.cost.trained_parameters
    return trained / full.cost.trained_parameters, share(found.method, trained, comparison)


def _little(comparison: Comparison, rows: int) -> Part:
    """Compare the accuracy of prefix tuning with little data with that of each rival."""
    found = {rival: _no_less(comparison, PREFIX, rival, rows)[1] for rival in LITTLE}
    groups = {
        text: [say(LITTLE[rival]) for rival, verdict in found.items() if verdict == kind]
        for kind, text in COMPARED.items()
    }
    measured = say("; ").join(say(text, rivals=say(", ").join(rivals)) for text, rivals in groups.items() if rivals)
    return Part(say("does well with {rows} rows", rows=rows), measured, together(list(found.values())))


def _as_words(comparison: Comparison) -> Part:
    """Compare the soft prompt with the words nearest to it, as far as so many reviews answered once tell."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    name, opened = say("its nearest words in its place"), comparison.opened
    if "accuracy_as_words" not in opened:
        return Part(name, NONE, UNTOLD)
    asked = opened_reviews(comparison)
    words, tuned = opened["accuracy_as_words"], opened["accuracy"]
    # Newcombe's interval takes the two for answers to different reviews, so it is rather too wide.
    low, high = confint_proportions_2indep(
        round(words * asked), asked, round(tuned * asked), asked, method="newcomb", compare="diff"
    )
    found = {HOLDS: FAILS, FAILS: HOLDS}.get(_is_no_less((low, high)), UNTOLD)
    return Part(name, say("{difference} points", difference=points_with_interval(words - tuned, (low, high))), found)


def _kept(comparison: Comparison) -> Part:
    """Count the virtual tokens that are still nearest to the word that they started as."""
    kept, tokens = kept_words(comparison)
    name = say("tokens still nearest to the word they started as")
    if tokens == 0:
        return Part(name, NONE, NONE, counts=False)
    measured = say("{kept} of {tokens}", kept=kept, tokens=tokens)
    return Part(name, measured, NONE, counts=False)


def kept_words(comparison: Comparison) -> tuple[int, int]:
    """Count the virtual tokens that are still nearest to the word that they started as, and all of them."""
    tokens = comparison.opened["tokens"]
    return sum(token["before"][0]["token"] == token["after"][0]["token"] for token in tokens), len(tokens)


def opened_reviews(comparison: Comparison) -> int:
    """Count the test reviews that the opened soft prompt was asked about."""
    return min(comparison.plan.opened_rows, comparison.plan.test_rows)
