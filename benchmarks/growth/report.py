"""The table and the plots of what was measured."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from .point import Point

BEGIN, END = "<!-- table: written by make growth -->\n", "<!-- end of the table -->"
SIZE_NAMES = {"tuning": "rows", "runtime": "trainings and deployments", "prompt": "tokens of the prompt"}
TITLES = {
    "tuning": "A tuning, by its number of rows",
    "runtime": "A runtime, by what it keeps",
    "prompt": "A prompt, by its length",
}
COLOURS = ("#0f62fe", "#9f1853", "#198038", "#8a3800", "#6929c4", "#005d5d", "#525252", "#b28600", "#ee5396")
FINER = {"s": (1e6, "µs"), "MiB": (1024, "KiB"), "KiB": (1024, "B")}
LINE_STYLES = ("-", "--", "-.", ":")


def table(points: Iterable[Point]) -> str:
    """Write the points as Markdown: for each part a table with a column for each size."""
    points = list(points)
    parts = []
    for part in (part for part in SIZE_NAMES if any(point.part == part for point in points)):
        of_part = [point for point in points if point.part == part]
        sizes = sorted({point.size for point in of_part})
        head = f"| {SIZE_NAMES[part]} | " + " | ".join(f"{size:,}" for size in sizes) + " | growth | each more |"
        lines = [head, "|---|" + "---|" * (len(sizes) + 2)]
        for what, unit in dict.fromkeys((point.what, point.unit) for point in of_part):
            values = {point.size: point.value for point in of_part if point.what == what}
            cells = [f"{values[size]:.3g}" if size in values else "" for size in sizes]
            cells += [growth(values), each_more(values, unit)]
            lines.append(f"| {what}, {unit} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def growth(values: dict[int, float]) -> str:
    """Say how much more the largest size takes than the one before it; empty for a single size."""
    if len(values) < 2:
        return ""
    before, largest = sorted(values)[-2:]
    factor = values[largest] / values[before] if values[before] else float("nan")
    return f"{factor:.3g} times for {largest / before:g} times"


def steepest(points: Iterable[Point]) -> tuple[str, float]:
    """Find the figure of a part that grows most from its smallest size to its largest.

    Args:
        points: of one part.

    Returns:
        What it is, and its growth over that of the sizes: 1 if it grew in proportion, less if it grew less.
    """
    by_figure: dict[str, dict[int, float]] = {}
    for point in points:
        by_figure.setdefault(point.what, {})[point.size] = point.value
    ratios = {}
    for what, values in by_figure.items():
        smallest, largest = min(values), max(values)
        if smallest < largest and values[smallest] > 0:
            ratios[what] = values[largest] / values[smallest] / (largest / smallest)
    return max(ratios.items(), key=lambda ratio: ratio[1])


def each_more(values: dict[int, float], unit: str) -> str:
    """Say what each row, record or token costs between the two largest sizes; empty for a single size."""
    if len(values) < 2:
        return ""
    before, largest = sorted(values)[-2:]
    factor, finer = FINER[unit]
    return f"{factor * (values[largest] - values[before]) / (largest - before):.3g} {finer}"


def write_table(page: Path, points: Iterable[Point]) -> None:
    """Put the table where the page has the one of an earlier run."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{table(points)}\n{END}{after}", encoding="utf-8")


def plot(points: Sequence[Point], part: str, path: Path) -> None:
    """Draw a part's seconds and mebibytes over the size, both axes logarithmic: what grows in proportion has slope 1.

    Args:
        points: of all parts.
        part: the one to draw.
        path: of the SVG file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 5), layout="constrained")
        for axes, unit, label in zip(figure.subplots(1, 2), ("s", "MiB"), ("processor seconds", "MiB"), strict=True):
            drawn = [point for point in points if point.part == part and point.unit == unit]
            for number, what in enumerate(dict.fromkeys(point.what for point in drawn)):
                line = sorted((point.size, point.value) for point in drawn if point.what == what)
                style = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}
                axes.loglog(*zip(*line, strict=True), marker="o", label=what, **style)
            axes.set(xlabel=SIZE_NAMES[part], ylabel=label)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.13))
        figure.suptitle(TITLES[part])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Title": TITLES[part]})
