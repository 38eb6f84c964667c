"""Plots of the controls: what the moves are worth, what lies between the seeds, attention, and transfer."""

from typing import TYPE_CHECKING

import numpy as np

from prompt_tuning_helpers.plots import BASE, LINES, QUIET, finished, new_figure

from ..tables import quote
from .facts import (
    LITTLE,
    after_pass,
    attention_to_all,
    chance_cosine,
    falls,
    hits,
    mean_accuracy,
    ridges,
    share_of_gain,
    staying_proves,
    still_nearest,
    strongest,
    ticket_hits,
    verdict,
)
from .kinds import (
    DEALT,
    FURTHER,
    HALF,
    MOVES,
    RANDOM,
    REVIEWS_RANDOM,
    REVIEWS_TEXT,
    REVIEWS_TUNED,
    SHUFFLED,
    START,
    TICKETS_TEXT,
    TUNED,
)
from .results import STATES, Between, Controls
from .style import DARK, beside, head, spread
from .wording import NAMES, STARTS_AS, count, figure, mean_and_reach, percent, reach

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GUESSING = 0.5  # accuracy of guessing, since half of the reviews have each label
# Colour and marker of each variant: what is on the way to the tuned soft prompt, and the controls beside it.
ON_THE_WAY, BESIDE = LINES[0], LINES[1]
STYLES = {
    START: LINES[4],
    **dict.fromkeys((TUNED, HALF, FURTHER), ON_THE_WAY),
    **dict.fromkeys((RANDOM, DEALT, SHUFFLED, MOVES), BESIDE),
}
STARTS_STYLES = dict(zip((REVIEWS_TUNED, REVIEWS_RANDOM, REVIEWS_TEXT, TICKETS_TEXT), LINES, strict=False))
STATE_NAMES = {"start": "before tuning", "tuned": "after tuning", "random": "after random moves as long"}


def plot_controls(controls: Controls) -> "Figure":
    """Plot the accuracy of the tuned soft prompts and of what differs from them, a dot for each seed.

    Args:
        controls: what ``load_controls`` returns.
    """
    order = sorted(controls.variants, key=lambda name: -mean_accuracy(controls, name))
    chart, (ax,) = new_figure(1, (8.6, 1.4 + 0.42 * len(order)))
    for place, name in enumerate(order):
        colour, marker = STYLES[name]
        values = controls.accuracies(name)
        aside = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else [0.0]
        ax.plot(values, place + np.array(aside), marker, color=colour, markersize=6, alpha=0.75, linestyle="none")
        mean = mean_accuracy(controls, name)
        ax.plot([mean, mean], [place - 0.36, place + 0.36], color=DARK, linewidth=1.6)
        at = (1.03, place)
        ax.annotate(figure(mean), at, xycoords=ax.get_yaxis_transform(), va="center", color=DARK, annotation_clip=False)
    ax.annotate("mean", (1.03, -0.85), xycoords=ax.get_yaxis_transform(), color=DARK, annotation_clip=False)
    ax.axvline(GUESSING, color=QUIET, linewidth=1, linestyle=":")
    ax.annotate("guessing", (GUESSING, len(order) - 0.45), xytext=(3, 0), textcoords="offset points", color=QUIET)
    ax.set_yticks(range(len(order)), [NAMES[name] for name in order])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(order) - 0.3, -0.6)
    ax.grid(axis="x", color="#dddddd", linewidth=0.8)
    ax.set_xlabel(f"Accuracy on {controls.reviews} test reviews: a mark for each seed, a bar for their mean")
    for colour, marker, label in (
        (*ON_THE_WAY, "along the way that tuning took"),
        (*BESIDE, "controls: beside this way"),
    ):
        ax.plot([], [], marker, color=colour, label=label)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, -0.16), ncols=2)
    title = _title_of_variants(controls)
    head(chart, title)
    values_said = "; ".join(f"{NAMES[name]} {mean_and_reach(controls.accuracies(name))}" for name in order)
    return finished(chart, f"{title}. Accuracy by soft prompt, mean and range over the seeds: {values_said}.")


def _title_of_variants(controls: Controls) -> str:
    random, tuned = (figure(mean_accuracy(controls, name)) for name in (RANDOM, TUNED))
    share = share_of_gain(controls, RANDOM)
    if share is None:
        return f"Tuning gained nothing clear: accuracy {tuned} after it"
    if verdict(hits(controls, TUNED), hits(controls, RANDOM)) < 1:
        return f"Random moves as long do about as well: accuracy {random}, and {tuned} as tuned"
    if share < LITTLE:
        return f"Which way the vectors moved counts, not how far: accuracy {tuned}, and {random} in random directions"
    return f"Random moves as long bring {percent(share)} of what tuning gained: accuracy {random}, and {tuned} as tuned"


def plot_geometry(controls: Controls) -> "Figure":
    """Plot how many virtual tokens stay nearest to their words, the further they are moved: as tuned, and at random.

    Args:
        controls: what ``load_controls`` returns.
    """
    chart, (ax,) = new_figure(1, (8.6, 3.8))
    reaches, places = controls.plan.reaches, range(len(controls.plan.reaches))
    lines = (("tuned", "the way of tuning", ON_THE_WAY), ("random", "random directions", BESIDE))
    for of, _, (colour, marker) in lines:
        ax.plot(places, controls.nearest[of], color=colour, marker=marker, linewidth=1.8)
    ends = [controls.nearest[of][-1] for of, *_ in lines]
    for (_, name, (colour, marker)), end, place in zip(lines, ends, spread(ends, 0.09), strict=True):
        beside(ax, name, place, end, colour, marker)
    ax.set_ylim(-0.03, 1.06)
    ax.yaxis.set_major_formatter(lambda share, _: percent(share))
    ax.set_xticks(places, ["as far\nas tuned" if times == 1 else f"{times} times\nas far" for times in reaches])
    ax.set_ylabel("Virtual tokens nearest\nto their own word")
    tuned, random, of_all = still_nearest(controls)
    nothing = staying_proves(controls)
    proves = f"Staying nearest to its word proves {nothing}" if nothing else "More stay nearest than by chance"
    title = f"{proves}: {tuned} of {of_all} do, and {random} after random moves as long"
    head(chart, title)
    said = "; ".join(f"{name} {', '.join(map(percent, controls.nearest[of]))}" for of, name, _ in lines)
    return finished(
        chart,
        f"{title}. Share of virtual tokens that are nearest to their own word after moves "
        f"{', '.join(map(str, reaches))} times as long as those of tuning: {said}.",
    )


def plot_between_seeds(controls: Controls) -> "Figure":
    """Plot loss and accuracy along the lines between the soft prompts of two seeds each.

    Args:
        controls: what ``load_controls`` returns.
    """
    chart, panels = new_figure(2, (9.2, 4.2))
    start = controls.variants[START][controls.plan.seeds[0]][0]
    texts = []
    for ax, measure, label in zip(panels, ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
        for line, (colour, marker) in zip(controls.lines, LINES, strict=False):
            steps, values = zip(*((step, getattr(score, measure)) for step, score in line.points), strict=True)
            ax.plot(steps, values, color=colour, marker=marker, markersize=5, linewidth=1.6)
        ax.axhline(getattr(start, measure), color=QUIET, linewidth=1.2, linestyle="--")
        ax.set_xlim(-0.04, 1.04)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["the one", "", "half-way", "", "the other"])
        ax.set_title(f"{label} on {controls.reviews} test reviews", fontsize=10, color=DARK)
        lines = (", ".join(figure(getattr(score, measure)) for _, score in line.points) for line in controls.lines)
        named = zip(map(_name_of_line, controls.lines), lines, strict=True)
        texts.append(f"{label} from one end to the other: {'; '.join(f'{name} {values}' for name, values in named)}")
    losses, accuracies = panels
    losses.set_ylim(0, None)
    low, high = accuracies.get_ylim()
    ends = [line.points[-1][1].accuracy for line in controls.lines]
    places = spread([*ends, start.accuracy], 0.07 * (high - low))
    for line, (colour, marker), end, place in zip(controls.lines, LINES, ends, places, strict=False):
        beside(accuracies, _name_of_line(line), place, end, colour, marker)
    beside(accuracies, "the text that all\nstarted from", places[-1], start.accuracy, QUIET, "")
    chart.supxlabel("On the line from the soft prompt of one seed to that of another", fontsize=10)
    title = _title_of_lines(controls)
    head(chart, title)
    cosines = (
        f"Cosine of the moves of two seeds: {mean_and_reach(controls.cosines)}. "
        f"Random moves: 0 ± {figure(chance_cosine(controls))}"
    )
    return finished(
        chart,
        f"{title}. {'. '.join(texts)}. The text that all started from: loss {figure(start.loss)}, accuracy "
        f"{figure(start.accuracy)}. {cosines}.",
    )


def _name_of_line(line: Between) -> str:
    return f"seeds {line.seeds[0]} and {line.seeds[1]}"


def _title_of_lines(controls: Controls) -> str:
    points, most = reach([100 * each for each in falls(controls)], 0), figure(100 * max(falls(controls)), 0)
    found, lines = ridges(controls), len(controls.lines)
    if found == lines:
        return f"Each seed finds a place of its own: between two, accuracy falls by {points} points"
    if found:
        return f"On {found} of {lines} lines between seeds lies a ridge: accuracy falls by up to {most} points"
    return f"No ridge parts the seeds: between two, accuracy falls by {most} points at most, no more than chance"


def plot_attention(controls: Controls) -> "Figure":
    """Plot which share of its attention the last token of a review gives to each virtual token, in each layer.

    Args:
        controls: what ``load_controls`` returns.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle

    means = {state: controls.attention[state].mean(axis=0) for state in STATES}  # [layers, P]
    everything = attention_to_all(controls)
    layers, tokens = means["start"].shape
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(shares.max()) for shares in means.values()))
    chart, axes = new_figure(len(STATES), (10.2, 2.2 + 0.13 * layers))
    said = []
    for ax, state in zip(axes, STATES, strict=True):
        shares = means[state]
        picture = ax.imshow(shares, norm=norm, cmap="Blues", aspect="auto", origin="lower", interpolation="nearest")
        layer, token = strongest(shares)
        ax.add_patch(Rectangle((token - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=BASE, linewidth=2))
        name, together = STATE_NAMES[state], percent(float(np.mean(everything[state])))
        most = f"{percent(float(shares[layer, token]))}, token {token + 1}, layer {layer + 1}"
        ax.set_title(f"{name}: {together}\nmost (framed): {most}", fontsize=10, color=DARK)
        said.append(f"{name} {together} for all together, and most for one: {most}")
        ax.set_xticks(range(tokens), [quote(token.word) for token in controls.tokens[0]], parse_math=False)
        ax.tick_params(axis="x", labelrotation=90, labelsize=7, length=0)
        ax.set_yticks([0, *range(4, layers, 5)], [str(number + 1) for number in (0, *range(4, layers, 5))])
        ax.grid(visible=False)
    axes[0].set_ylabel("Layer")
    axes[len(axes) // 2].set_xlabel("Virtual tokens, by the text that they started as")
    bar = chart.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("Share of attention (darker is more; square-root scale)")
    bar.ax.yaxis.set_major_formatter(lambda share, _: percent(share))
    title = _title_of_attention(controls)
    head(chart, title)
    return finished(
        chart,
        f"{title}. Three maps of layers by virtual tokens. Share of the last token's attention, the mean over layers "
        f"and seeds: {'; '.join(said)}.",
    )


def _title_of_attention(controls: Controls) -> str:
    start, tuned, random = (attention_to_all(controls)[state] for state in STATES)
    figures = f"{percent(float(np.mean(start)))} before, {percent(float(np.mean(tuned)))} after"
    change = "more" if min(tuned) > max(start) else "less" if max(tuned) < min(start) else ""
    if not change:
        return f"Tuning hardly changes how much attention the virtual tokens get: {figures}"
    beyond = min(tuned) > max(random) if change == "more" else max(tuned) < min(random)
    also = "random moves do not do that" if beyond else "but random moves do about as much"
    return f"After tuning, the virtual tokens get {change} attention, {figures}; {also}"


def plot_transfer(controls: Controls) -> "Figure":
    """Plot the accuracy of soft prompts for tickets from several starts, before tuning and after each pass.

    Args:
        controls: what ``load_controls`` returns.
    """
    passes = controls.plan.tickets.num_epochs
    chart, (ax,) = new_figure(1, (8.6, 4.4))
    ends = []
    for start, scores in controls.transfer.items():
        colour, marker = STARTS_STYLES[start]
        means = [float(np.mean(after_pass(scores, number))) for number in range(passes + 1)]
        width = 2.4 if start == REVIEWS_TUNED else 1.4
        ax.plot(range(passes + 1), means, color=colour, marker=marker, linewidth=width)
        for number in range(passes + 1):
            seeds = after_pass(scores, number)
            ax.plot([number] * len(seeds), seeds, marker, color=colour, markersize=4, alpha=0.45, linestyle="none")
        ends.append((STARTS_AS[start], means, colour, marker))
    ax.set_xlim(-0.15, passes + 0.15)
    low, high = ax.get_ylim()
    places = spread([means[-1] for _, means, *_ in ends], 0.07 * (high - low))
    for (name, means, colour, marker), place in zip(ends, places, strict=True):
        beside(ax, name, place, means[-1], colour, marker)
    ax.set_xticks(range(passes + 1), ["before", *map(str, range(1, passes + 1))])
    ax.set_xlabel("Passes over the tickets")
    ax.set_ylabel(f"Accuracy on {controls.tickets} held-back tickets")
    title = _title_of_transfer(controls)
    head(chart, title, "Lines: means over the seeds. Small marks: each seed")
    said = "; ".join(f"{name} {', '.join(map(figure, means))}" for name, means, *_ in ends)
    return finished(chart, f"{title}. Mean accuracy before tuning and after each pass, by start: {said}.")


def _title_of_transfer(controls: Controls) -> str:
    tuned, text = (float(np.mean(after_pass(controls.transfer[name], -1))) for name in (REVIEWS_TUNED, REVIEWS_TEXT))
    passes = count(controls.plan.tickets.num_epochs, "pass", "passes")
    figures = f"{figure(tuned)} against {figure(text)} after {passes}"
    found = verdict(ticket_hits(controls, REVIEWS_TUNED), ticket_hits(controls, REVIEWS_TEXT))
    if not found:
        return f"Whether tuning on reviews helps on tickets, {controls.tickets} of them cannot tell: {figures}"
    return f"For tickets, tuned on reviews is a {'better' if found > 0 else 'worse'} start than its text: {figures}"
