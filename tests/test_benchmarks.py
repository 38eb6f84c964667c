"""What ``make bench`` writes: each figure has a line that says what it is, whatever its shape."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as bench


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the figures go, with one of an earlier run."""
    path = tmp_path / "build" / "benchmarks.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"tutorial_s": 200.0}), encoding="utf-8")
    monkeypatch.setattr(bench, "OUTPUT", path)
    return path


def test_figures_are_printed_with_their_goals_and_kept_beside_earlier_ones(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part() -> bench.Figures:
        print("Successfully finished deployment creation")  # as the SDK does
        yield "serve_ready_s", 2.0
        yield "time_to_accuracy", {"prompt": 41.0, "lora": None}

    monkeypatch.setattr(bench, "PARTS", {"part": part})
    monkeypatch.setattr("sys.argv", ["benchmarks", "part"])
    bench.main()
    printed, told = capsys.readouterr()
    assert "| serve_ready_s | 2 | at most 3 | seconds from process start" in printed
    assert "| time_to_accuracy.prompt | 41 | at most LoRA's |" in printed
    assert "| time_to_accuracy.lora | not reached |" in printed
    assert "deployment" not in printed
    assert "deployment" in told
    assert json.loads(output.read_text(encoding="utf-8")) == {
        "tutorial_s": 200.0,
        "serve_ready_s": 2.0,
        "time_to_accuracy": {"prompt": 41.0, "lora": None},
    }


def test_an_unknown_part_is_named_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "speed"])
    with pytest.raises(SystemExit):
        bench.main()
    error = capsys.readouterr().err
    assert "there is no part 'speed'" in error
    assert "tuning_speed" in error
