"""``make growth``: measures, writes build/growth.jsonl, the table of docs/growth.md and its plots.

    python -m benchmarks.growth prompt --sizes 100 500

measures a part alone, or some sizes of it; what is not measured keeps its earlier figures.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from . import report
from .parts import PARTS, prepare
from .point import Point

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build" / "growth.jsonl"
PAGE = ROOT / "docs" / "growth.md"
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Measure part after part and size after size, and show what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--sizes", nargs="+", type=int, help="all of the part by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; there are {', '.join(PARTS)}")
    prepare()
    points = read_points(OUTPUT)
    for part in arguments.parts or PARTS:
        for size in arguments.sizes or PARTS[part].SIZES:
            points = [point for point in points if (point.part, point.size) != (part, size)]
            for point in PARTS[part].measure(size):
                points.append(point)
                print(f"{point.part} {point.size}: {point.what} {point.value:.3g} {point.unit}", flush=True)
            write_points(OUTPUT, points)
    report.write_table(PAGE, points)
    for part in PARTS:
        report.plot(points, part, IMAGES / f"growth-{part}.svg")
    print(f"\n{report.table(points)}\nWritten to {OUTPUT}, {PAGE} and {IMAGES}.")


def read_points(path: Path) -> list[Point]:
    """Read the points of an earlier run; none if there was none."""
    if not path.exists():
        return []
    return [Point(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def write_points(path: Path, points: list[Point]) -> None:
    """Write points, a line of JSON each."""
    path.parent.mkdir(exist_ok=True)
    order = {part: place for place, part in enumerate(PARTS)}
    points = sorted(points, key=lambda point: (order[point.part], point.size))
    path.write_text("".join(json.dumps(asdict(point)) + "\n" for point in points), encoding="utf-8")


if __name__ == "__main__":
    main()
