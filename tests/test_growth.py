"""What ``make growth`` writes of its figures, and the page that shows them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.growth import report, tunings
from benchmarks.growth.__main__ import IMAGES, PAGE, read_points, write_points
from benchmarks.growth.parts import PARTS
from benchmarks.growth.point import Point, memory_growth, timed

POINTS = [
    Point("tuning", "check", 3_000, 2.0, "s"),
    Point("tuning", "check", 300, 0.1, "s"),
    Point("tuning", "memory of check", 3_000, 80.0, "MiB"),
    Point("prompt", "first token", 100, 0.25, "s"),
]


def test_the_table_has_a_column_for_each_size_and_says_how_much_the_largest_takes() -> None:
    assert report.table(POINTS) == (
        "| rows | 300 | 3,000 | growth | each more |\n"
        "|---|---|---|---|---|\n"
        "| check, s | 0.1 | 2 | 20 times for 10 times | 704 µs |\n"
        "| memory of check, MiB |  | 80 |  |  |\n\n"
        "| tokens of the prompt | 100 | growth | each more |\n"
        "|---|---|---|---|\n"
        "| first token, s | 0.25 |  |  |\n"
    )


def test_the_steepest_figure_counts_of_those_that_have_two_sizes() -> None:
    what, growth = report.steepest(POINTS[:3])
    assert (what, round(growth, 6)) == ("check", 2)
    level = [Point("tuning", "start", size, 1.0, "s") for size in (300, 3_000)]
    what, growth = report.steepest(level)
    assert (what, round(growth, 6)) == ("start", 0.1)


def test_a_new_table_replaces_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{report.BEGIN}{report.END}\n\nMore.\n", encoding="utf-8")
    for points in (POINTS, POINTS[3:]):
        report.write_table(page, points)
    assert page.read_text(encoding="utf-8") == (
        f"# Title\n\n{report.BEGIN}\n{report.table(POINTS[3:])}\n{report.END}\n\nMore.\n"
    )


def test_points_are_kept_as_lines_of_json_in_the_order_of_the_parts_and_sizes(tmp_path: Path) -> None:
    path = tmp_path / "build" / "growth.jsonl"
    assert read_points(path) == []
    write_points(path, [POINTS[3], *POINTS[:3]])
    assert read_points(path) == [POINTS[1], POINTS[0], POINTS[2], POINTS[3]]


def test_a_plot_has_a_line_for_each_figure_and_is_the_same_each_time(tmp_path: Path) -> None:
    drawn = []
    for name in ("one.svg", "two.svg"):
        report.plot(POINTS, "tuning", tmp_path / name)
        drawn.append((tmp_path / name).read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    texts = " ".join(element.text or "" for element in ElementTree.fromstring(drawn[0]).iter())
    for text in ("A tuning, by its number of rows", "memory of check", "processor seconds", "rows"):
        assert text in texts


def test_rows_are_as_many_as_asked_for_alike_each_time_and_hardly_repeat(tmp_path: Path) -> None:
    rows = json.loads(tunings.write_rows(tmp_path / "rows.json", 200).read_text(encoding="utf-8"))
    assert rows == json.loads(tunings.write_rows(tmp_path / "again.json", 200).read_text(encoding="utf-8"))
    assert len({row["input"] for row in rows}) > 190
    assert {row["output"] for row in rows} == {"0", "1"}


def test_time_and_memory_are_those_of_the_work() -> None:
    assert timed(lambda: sum(range(3_000_000)), calls=2) > 0
    kept = []
    with memory_growth() as memory:
        kept.append(bytearray(b"x" * 2**26))
        while memory.peak < 2**25:  # until the watcher has looked
            pass
    assert memory.mib > 32


def test_the_page_shows_every_plot_with_an_alternative_text() -> None:
    shown = dict(re.findall(r"!\[([^]]{20,})]\(images/([^)]+)\)", PAGE.read_text(encoding="utf-8")))
    assert set(shown.values()) == {f"growth-{part}.svg" for part in PARTS} == {path.name for path in IMAGES.iterdir()}


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_figures_of_each_part(part: str) -> None:
    assert f"| {report.SIZE_NAMES[part]} |" in PAGE.read_text(encoding="utf-8")
