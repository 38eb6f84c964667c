"""A job's metrics: what a reader makes of a file that grows, is replaced by a resumed job, or is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning_helpers.engine.metrics import MetricRecord, MetricsReader, MetricsWriter

GOOD = MetricRecord("2026-01-01T00:00:00.000Z", 1, 0, 0.5, 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, steps: range, done: int = 0) -> None:
    writer = MetricsWriter(path, done)
    for step in steps:
        writer.append(step, step // 10, 1 / step, step / 100)


def iterations(records: list[MetricRecord]) -> list[int]:
    return [record.iteration for record in records]


def test_what_is_written_is_read(path: Path) -> None:
    assert MetricsReader(path).read() == []
    write(path, range(1, 4))
    records = MetricsReader(path).read()
    assert [(r.iteration, r.epoch, r.loss, r.progress) for r in records] == [
        (1, 0, 1.0, 0.01),
        (2, 0, 0.5, 0.02),
        (3, 0, 1 / 3, 0.03),
    ]


def test_only_what_is_new_is_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    parse = MetricRecord.parse

    def note(line: bytes) -> MetricRecord | None:
        decoded.append(line)
        return parse(line)

    monkeypatch.setattr(MetricRecord, "parse", note)
    reader = MetricsReader(path)
    write(path, range(1, 101))
    reader.read()
    decoded.clear()
    assert iterations(reader.read()) == list(range(1, 101))
    assert not any(decoded)
    with path.open("ab") as file:
        file.write(MetricRecord("2026-01-01T00:00:00.000Z", 101, 1, 0.5, 1).to_line())
    assert iterations(reader.read()) == list(range(1, 102))
    assert [json.loads(line)["iteration"] for line in decoded if line] == [101]


def test_a_line_counts_once_it_is_whole(path: Path) -> None:
    reader, line = MetricsReader(path), GOOD.to_line()
    for end in range(len(line) - 1):
        path.write_bytes(line[:end])
        assert reader.read() == []
    for whole in (line[:-1], line, line + b'{"iteration": 2, '):
        path.write_bytes(whole)
        assert reader.read() == [GOOD]


def test_a_resumed_jobs_file_is_read_anew(path: Path) -> None:
    reader = MetricsReader(path)
    write(path, range(1, 21))
    reader.read()
    write(path, range(16, 41), done=15)  # longer than before
    resumed = reader.read()
    assert resumed == MetricsReader(path).read()
    assert iterations(resumed) == list(range(1, 41))
    write(path, range(6, 8), done=5)  # shorter
    assert reader.read() == MetricsReader(path).read()
    path.unlink()
    assert reader.read() == []


def test_a_new_file_with_the_old_ones_inode_is_read_anew(path: Path) -> None:
    reader = MetricsReader(path)
    write(path, range(1, 21))
    reader.read()
    write(path.with_name("other"), range(101, 141), done=100)
    inode = path.stat().st_ino
    path.write_bytes(path.with_name("other").read_bytes())
    assert path.stat().st_ino == inode
    assert iterations(reader.read()) == list(range(101, 141))


def test_damaged_lines_are_left_out(path: Path) -> None:
    damaged: list[dict[str, Any]] = [{"loss": float("nan")}, {"timestamp": "\ud800"}, {"epoch": 0.5}]
    values = json.loads(GOOD.to_line())
    lines = [json.dumps(values), *(json.dumps(values | change) for change in damaged), "5", "{"]
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    assert MetricsReader(path).read() == [GOOD]


def test_a_file_of_an_earlier_version_has_one_record_a_step(path: Path) -> None:
    """It has two for a step that is an epoch of its own, the first of them backdated."""
    times = ["00.000", "01.500", "01.500", "03.000"]
    steps = [(f"2026-01-01T00:00:{time}Z", number // 2 + 1, number // 2) for number, time in enumerate(times)]
    written = [MetricRecord(time, step, epoch, 0.5, step / 2) for time, step, epoch in steps]
    path.write_bytes(b"".join(record.to_line() for record in written))
    assert MetricsReader(path).read() == [written[1], written[3]]
    MetricsWriter(path, done=1)
    assert MetricsReader(path).read() == [written[1]]
