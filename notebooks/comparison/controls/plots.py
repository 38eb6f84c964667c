"""Plots of the controls: what the moves are worth, what lies between the seeds, attention, and transfer."""

from typing import TYPE_CHECKING

import numpy as np

from prompt_tuning_helpers.plots import BASE, LINES, QUIET, finished, new_figure

from ..language import say
from ..plots.style import GUESSING, clauses, series, spread
from ..tables import quote
from .facts import (
    LITTLE,
    after_pass,
    attention_to_all,
    attention_to_first,
    chance_cosine,
    clear_falls,
    falls,
    hits,
    mean_accuracy,
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
from .style import DARK, beside, head
from .wording import NAMES, STARTS_AS, count, figure, mean_and_reach, named, percent, reach

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    top, bottom = (1.03, -0.85), (GUESSING, len(order) - 0.45)
    ax.annotate(say("mean"), top, xycoords=ax.get_yaxis_transform(), color=DARK, annotation_clip=False)
    ax.axvline(GUESSING, color=QUIET, linewidth=1, linestyle=":")
    ax.annotate(say("guessing"), bottom, xytext=(3, 0), textcoords="offset points", color=QUIET)
    ax.set_yticks(range(len(order)), [say(NAMES[name]) for name in order])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(order) - 0.3, -0.6)
    ax.grid(axis="x", color="#dddddd", linewidth=0.8)
    ax.set_xlabel(
        say("Accuracy on {reviews} test reviews: a mark for each seed, a bar for their mean", reviews=controls.reviews)
    )
    for colour, marker, label in (
        (*ON_THE_WAY, say("along the way that tuning took")),
        (*BESIDE, say("controls: beside this way")),
    ):
        ax.plot([], [], marker, color=colour, label=label)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, -0.16), ncols=2)
    title = _title_of_variants(controls)
    head(chart, title)
    return finished(
        chart,
        say(
            "{title}. Accuracy by soft prompt, mean and range over the seeds: {accuracies}.",
            title=title,
            accuracies=clauses([named(say(NAMES[name]), mean_and_reach(controls.accuracies(name))) for name in order]),
        ),
    )


def _title_of_variants(controls: Controls) -> str:
    accuracies = {name: figure(mean_accuracy(controls, of)) for name, of in (("random", RANDOM), ("tuned", TUNED))}
    share = share_of_gain(controls, RANDOM)
    if share is None:
        return say("Tuning gained nothing clear: accuracy {tuned} after it", tuned=accuracies["tuned"])
    if verdict(hits(controls, TUNED), hits(controls, RANDOM)) < 1:
        return say("Random moves as long do about as well: accuracy {random}, and {tuned} as tuned", **accuracies)
    if share < LITTLE:
        return say(
            "Distance alone is worth little: accuracy {tuned} as tuned, and {random} after random moves as long",
            **accuracies,
        )
    return say(
        "Random moves as long bring {share} of what tuning gained: accuracy {random}, and {tuned} as tuned",
        share=percent(share),
        **accuracies,
    )


def plot_geometry(controls: Controls) -> "Figure":
    """Plot how many virtual tokens stay nearest to their words, the further they are moved: as tuned, and at random.

    Args:
        controls: what ``load_controls`` returns.
    """
    chart, (ax,) = new_figure(1, (8.6, 3.8))
    reaches, places = controls.plan.reaches, range(len(controls.plan.reaches))
    lines = (("tuned", say("the way of tuning"), ON_THE_WAY), ("random", say("random directions"), BESIDE))
    for of, _, (colour, marker) in lines:
        ax.plot(places, controls.nearest[of], color=colour, marker=marker, linewidth=1.8)
    ends = [controls.nearest[of][-1] for of, *_ in lines]
    for (_, name, (colour, marker)), end, place in zip(lines, ends, spread(ends, 0.09), strict=True):
        beside(ax, name, place, end, colour, marker)
    ax.set_ylim(-0.03, 1.06)
    ax.yaxis.set_major_formatter(lambda share, _: percent(share))
    far = [say("{times} times\nas far", times=times) if times > 1 else say("as far\nas tuned") for times in reaches]
    ax.set_xticks(places, far)
    ax.set_ylabel(say("Virtual tokens nearest\nto their own word"))
    title = _title_of_geometry(controls)
    head(chart, title)
    return finished(
        chart,
        say(
            "{title}. Share of virtual tokens that are nearest to their own word after moves {times} times as long as "
            "those of tuning: {shares}.",
            title=title,
            times=series(map(str, reaches)),
            shares=clauses([named(name, series(map(percent, controls.nearest[of]))) for of, name, _ in lines]),
        ),
    )


def _title_of_geometry(controls: Controls) -> str:
    tuned, random, of_all = still_nearest(controls)
    counts = {"tuned": tuned, "random": random, "all": of_all}
    titles = {
        "nothing": say(
            "Staying nearest to its word proves nothing: {tuned} of {all} do, and {random} after random moves as long",
            **counts,
        ),
        "next to nothing": say(
            "Staying nearest to its word proves next to nothing: {tuned} of {all} do, and {random} after random moves "
            "as long",
            **counts,
        ),
        "": say(
            "More stay nearest than by chance: {tuned} of {all} do, and {random} after random moves as long", **counts
        ),
    }
    return titles[staying_proves(controls)]


def plot_between_seeds(controls: Controls) -> "Figure":
    """Plot loss and accuracy along the lines between the soft prompts of two seeds each.

    Args:
        controls: what ``load_controls`` returns.
    """
    chart, panels = new_figure(2, (9.2, 4.2))
    start = controls.variants[START][controls.plan.seeds[0]][0]
    told = {}
    headings = {
        "loss": say("Loss on {reviews} test reviews", reviews=controls.reviews),
        "accuracy": say("Accuracy on {reviews} test reviews", reviews=controls.reviews),
    }
    for ax, (measure, heading) in zip(panels, headings.items(), strict=True):
        for line, (colour, marker) in zip(controls.lines, LINES, strict=False):
            steps, values = zip(*((step, getattr(score, measure)) for step, score in line.points), strict=True)
            ax.plot(steps, values, color=colour, marker=marker, markersize=5, linewidth=1.6)
        ax.axhline(getattr(start, measure), color=QUIET, linewidth=1.2, linestyle="--")
        ax.set_xlim(-0.04, 1.04)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], [say("the one"), "", say("half-way"), "", say("the other")])
        ax.set_title(heading, fontsize=10, color=DARK)
        told[measure] = clauses(
            [
                named(_name_of_line(line), series(figure(getattr(score, measure)) for _, score in line.points))
                for line in controls.lines
            ]
        )
    losses, accuracies = panels
    losses.set_ylim(0, None)
    low, high = accuracies.get_ylim()
    ends = [line.points[-1][1].accuracy for line in controls.lines]
    places = spread([*ends, start.accuracy], 0.07 * (high - low))
    for line, (colour, marker), end, place in zip(controls.lines, LINES, ends, places, strict=False):
        beside(accuracies, _name_of_line(line), place, end, colour, marker)
    beside(accuracies, say("the text that all\nstarted from"), places[-1], start.accuracy, QUIET, "")
    chart.supxlabel(say("On the line from the soft prompt of one seed to that of another"), fontsize=10)
    title = _title_of_lines(controls)
    head(chart, title)
    return finished(
        chart,
        say(
            "{title}. Loss from one end to the other: {losses}. Accuracy from one end to the other: {accuracies}. The "
            "text that all started from: loss {loss}, accuracy {accuracy}. Cosine of the moves of two seeds: "
            "{cosines}. Random moves: 0 ± {chance}.",
            title=title,
            losses=told["loss"],
            accuracies=told["accuracy"],
            loss=figure(start.loss),
            accuracy=figure(start.accuracy),
            cosines=mean_and_reach(controls.cosines),
            chance=figure(chance_cosine(controls)),
        ),
    )


def _name_of_line(line: Between) -> str:
    one, other = line.seeds
    return say("seeds {one} and {other}", one=one, other=other)


def _title_of_lines(controls: Controls) -> str:
    points = [100 * each for each in falls(controls)]
    most = figure(max(points), 0)
    found, lines = clear_falls(controls), len(controls.lines)
    if found == lines:
        return say(
            "Each seed finds a place of its own: between two, accuracy falls by {points} points",
            points=reach(points, 0),
        )
    if found:
        return say(
            "On {found} of {lines} lines between seeds, accuracy falls by more than chance: by up to {most} points",
            found=found,
            lines=lines,
            most=most,
        )
    return say("Between two seeds, accuracy falls by {most} points at most, no more than chance", most=most)


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
        found = {
            "state": say(STATE_NAMES[state]),
            "together": percent(float(np.mean(everything[state]))),
            "share": percent(float(shares[layer, token])),
            "token": token + 1,
            "layer": layer + 1,
        }
        text = say("{state}: {together}\nmost (framed): {share}, token {token}, layer {layer}", **found)
        ax.set_title(text, fontsize=10, color=DARK)
        said.append(
            say("{state} {together} for all together, and most for one: {share}, token {token}, layer {layer}", **found)
        )
        ax.set_xticks(range(tokens), [quote(token.word) for token in controls.tokens[0]], parse_math=False)
        ax.tick_params(axis="x", labelrotation=90, labelsize=7, length=0)
        ax.set_yticks([0, *range(4, layers, 5)], [str(number + 1) for number in (0, *range(4, layers, 5))])
        ax.grid(visible=False)
    axes[0].set_ylabel(say("Layer"))
    axes[len(axes) // 2].set_xlabel(say("Virtual tokens, by the text that they started as"))
    bar = chart.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(say("Share of attention (darker is more; square-root scale)"))
    bar.ax.yaxis.set_major_formatter(lambda share, _: percent(share))
    title = _title_of_attention(controls)
    head(chart, title)
    return finished(
        chart,
        say(
            "{title}. Three maps of layers by virtual tokens. Share of the last token's attention, the mean over "
            "layers and seeds: {shares}.",
            title=title,
            shares=clauses(said),
        ),
    )


def _title_of_attention(controls: Controls) -> str:
    everything, first = attention_to_all(controls), attention_to_first(controls)
    others = {state: percent(float(np.mean(everything[state])) - first[state]) for state in STATES}
    return say(
        "Beside the first, the virtual tokens get {start} of the attention before tuning, {tuned} after it and "
        "{random} after random moves",
        **others,
    )


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
        ends.append((say(STARTS_AS[start]), means, colour, marker))
    ax.set_xlim(-0.15, passes + 0.15)
    low, high = ax.get_ylim()
    places = spread([means[-1] for _, means, *_ in ends], 0.07 * (high - low))
    for (name, means, colour, marker), place in zip(ends, places, strict=True):
        beside(ax, name, place, means[-1], colour, marker)
    ax.set_xticks(range(passes + 1), [say("before"), *map(str, range(1, passes + 1))])
    ax.set_xlabel(say("Passes over the tickets"))
    ax.set_ylabel(say("Accuracy on {tickets} held-back tickets", tickets=controls.tickets))
    title = _title_of_transfer(controls)
    head(chart, title, say("Lines: means over the seeds. Small marks: each seed"))
    return finished(
        chart,
        say(
            "{title}. Mean accuracy before tuning and after each pass, by start: {accuracies}.",
            title=title,
            accuracies=clauses([named(name, series(map(figure, means))) for name, means, *_ in ends]),
        ),
    )


def _title_of_transfer(controls: Controls) -> str:
    last = {
        name: figure(float(np.mean(after_pass(controls.transfer[start], -1))))
        for name, start in (("tuned", REVIEWS_TUNED), ("start", REVIEWS_TEXT))
    }
    passes = count(controls.plan.tickets.num_epochs, "{count} pass", "{count} passes")
    found = verdict(ticket_hits(controls, REVIEWS_TUNED), ticket_hits(controls, REVIEWS_TEXT))
    if found > 0:
        return say(
            "For tickets, tuned on reviews is a better start than its text: {tuned} against {start} after {passes}",
            passes=passes,
            **last,
        )
    if found < 0:
        return say(
            "For tickets, tuned on reviews is a worse start than its text: {tuned} against {start} after {passes}",
            passes=passes,
            **last,
        )
    return say(
        "Whether tuning on reviews helps on tickets, {tickets} of them cannot tell: {tuned} against {start} after "
        "{passes}",
        tickets=controls.tickets,
        passes=passes,
        **last,
    )
