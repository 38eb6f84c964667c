"""What the queue makes of a job's folder, and what it remembers of it; nothing runs here."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning_helpers.engine.job_folder import (
    CANNOT_WRITE,
    DONE,
    FAILED,
    LOG,
    METRICS,
    SOFT_PROMPT,
    STOPPED,
    Job,
    JobFailure,
    RowCounts,
    last_log_line,
)
from prompt_tuning_helpers.engine.metrics import MetricRecord, MetricsWriter
from prompt_tuning_helpers.runtime.jobs import reports
from prompt_tuning_helpers.runtime.jobs.outcome import (
    Completed,
    Failed,
    Gone,
    Interrupted,
    Outcome,
    Over,
    outcome_of,
    unexplained,
)
from prompt_tuning_helpers.runtime.jobs.reports import Reports
from prompt_tuning_helpers.runtime.store.trainings import Training
from tests.support.fake_engine import DEFAULTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a job that is yet to be done."""
    Job("tiny", "tiny", tmp_path / "data", DEFAULTS).write(tmp_path / "job")
    return tmp_path / "job"


def training(state: str = "running") -> Training:
    return Training("t", "p", "", "", [], {}, state, None, "m", "", "", None, None)


def finish(folder: Path) -> None:
    (folder / SOFT_PROMPT).mkdir()


def fail(folder: Path) -> None:
    JobFailure("a_code", "A reason.").write(folder)


def move_model(folder: Path) -> None:
    folder.with_name("model").mkdir()


def lose(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


FAILURE = Failed("a_code", "A reason.")
LOST = Failed("job_failed", "The job's folder is missing. Start the training again.")


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ([], None, Interrupted()),
        ([], STOPPED, Interrupted()),
        ([], -9, Interrupted()),
        ([finish], DONE, Completed()),
        ([finish], None, Completed()),
        ([finish], -9, Completed()),
        ([finish, fail], FAILED, Completed()),
        ([move_model], None, Completed()),
        ([move_model, lose], None, Completed()),
        ([fail], FAILED, FAILURE),
        ([fail], None, FAILURE),
        ([lose], None, LOST),
        ([lose], STOPPED, LOST),
    ],
)
def test_outcomes(folder: Path, changes: list[Callable[[Path], None]], code: int | None, expected: Outcome) -> None:
    for change in changes:
        change(folder)
    before = sorted(folder.parent.rglob("*"))
    assert outcome_of(training(), folder, folder.with_name("model"), code) == expected
    assert outcome_of(None, folder, folder.with_name("model"), code) == Gone()
    for state in ("completed", "failed", "canceled"):
        assert outcome_of(training(state), folder, folder.with_name("model"), code) == Over()
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("code", [DONE, FAILED, CANNOT_WRITE, 7])
def test_a_process_that_does_not_explain_itself_has_failed(folder: Path, code: int) -> None:
    assert outcome_of(training(), folder, folder.with_name("model"), code) == unexplained(folder, code)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"code": "x"}', "[" * 100_000])
def test_a_damaged_failure_is_none(folder: Path, content: str) -> None:
    (folder / "failure.json").write_text(content)
    assert JobFailure.read(folder) is None


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"rows": 3}', '{"rows": 3, "left_out": "one"}'])
def test_damaged_counts_are_none(folder: Path, content: str | None) -> None:
    if content is not None:
        (folder / "rows.json").write_text(content)
    assert RowCounts.read(folder) is None


def test_the_last_line_of_a_log_is_cut(folder: Path) -> None:
    assert last_log_line(folder) == ""
    (folder / LOG).write_bytes(b"first\n" * 10_000 + b"\xff" + b"x" * 1000 + b"\n\n")
    assert last_log_line(folder) == "\ufffd" + "x" * 299


def test_reports_are_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = MetricsWriter(folder / METRICS, 0)
    metrics.append(1, 0, 0.5, 0.5)
    RowCounts(5, 2).write(folder)
    known = Reports()
    first = known.read(folder)
    assert (len(first.metrics), first.row_counts) == (1, RowCounts(5, 2))

    def refuse(*_: Any) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(RowCounts, "read", refuse)
    monkeypatch.setattr(MetricRecord, "parse", lambda line: refuse() if line else None)
    assert known.read(folder) == first
    monkeypatch.undo()
    known.forget(folder)
    assert known.read(folder) == first


def test_not_all_reports_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_RECORDS", 10)
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
        metrics = MetricsWriter(folder / METRICS, 0)
        for step in range(1, 5):
            metrics.append(step, 0, 0.5, step / 4)
    parsed: list[bytes] = []
    parse = MetricRecord.parse

    def note(line: bytes) -> MetricRecord | None:
        parsed.extend([line] if line else [])
        return parse(line)

    monkeypatch.setattr(MetricRecord, "parse", note)
    known, counts = Reports(), []
    for folder in [*folders, folders[2], folders[1], folders[0]]:  # the third is one too many, so that the first goes
        before = len(parsed)
        assert len(known.read(folder).metrics) == 4
        counts.append(len(parsed) - before)
    assert counts == [4, 4, 4, 0, 0, 4]


def test_what_is_forgotten_makes_room_and_what_grows_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_RECORDS", 10)
    a, b, c = folders = [tmp_path / name for name in "abc"]
    parsed: list[bytes] = []
    parse = MetricRecord.parse

    def note(line: bytes) -> MetricRecord | None:
        parsed.extend([line] if line else [])
        return parse(line)

    def add(folder: Path, first: int) -> None:
        for step in range(first, first + 4):
            writers[folder].append(step, 0, 0.5, step / 8)

    def newly_read(folder: Path) -> int:
        before = len(parsed)
        known.read(folder)
        return len(parsed) - before

    writers = {}
    for folder in folders:
        folder.mkdir()
        writers[folder] = MetricsWriter(folder / METRICS, 0)
        add(folder, 1)
    monkeypatch.setattr(MetricRecord, "parse", note)
    known = Reports()
    assert [newly_read(a), newly_read(b)] == [4, 4]
    known.forget(a)
    assert [newly_read(c), newly_read(b)] == [4, 0]
    add(b, 5)
    assert [newly_read(b), newly_read(c)] == [4, 4]  # with its new records, b left no room for c


def test_reports_of_a_folder_that_cannot_be_read_are_empty(folder: Path) -> None:
    (folder / METRICS).mkdir()
    assert Reports().read(folder) == reports.Report([], None)
    assert Reports().read(folder / "none") == reports.Report([], None)


def test_the_contract_is_imported_without_torch() -> None:
    """Each job of the tests' stand-in for the engine is a process, and each would wait for it."""
    heavy = ("torch", "transformers", "safetensors", "peft", "numpy", "ibm_watsonx_ai")
    program = (
        "import sys, prompt_tuning_helpers.engine.job_folder, prompt_tuning_helpers.engine.metrics\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
