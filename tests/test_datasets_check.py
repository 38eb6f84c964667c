"""What a check finds in rows, what it refuses, and how its report prints."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.datasets import DatasetError, check, estimate_tokens, similar_pairs
from tests.support.examples import ROWS, TEXTS, write

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def frame_of(*texts: str, labels: str = "") -> pd.DataFrame:
    given_labels = list(labels) or ["01"[n % 2] for n in range(len(texts))]
    return pd.DataFrame({"input": list(texts), "output": given_labels})


def prompts(*texts: str, around: str = "Say whether it is good.\nComment: {}\nAnswer:\n") -> list[str]:
    return [around.replace("{}", text) for text in texts]


def test_good_data_has_no_findings() -> None:
    report = check(frame_of(*prompts(*WORDS[:10])), frame_of(*prompts("eleven", "twelve")), max_input_tokens=50)
    assert report.ok
    assert report.estimated
    assert [(part.name, part.rows, part.labels) for part in report.parts] == [
        ("training", 10, {"0": 5, "1": 5}),
        ("test", 2, {"0": 1, "1": 1}),
    ]
    assert "Nothing to complain about." in str(report)


def test_repeats_are_found_behind_case_and_punctuation() -> None:
    report = check(frame_of(*prompts("Clean dog!", "wet", "clean, DOG", "dry", "so so", "clean dog"), labels="101010"))
    (finding,) = report.of("duplicate")
    assert finding.train == (3, 6)
    assert finding.text == "2 of 6 training rows repeat an earlier row: 3 (= 1), 6 (= 1)."
    (conflict,) = report.of("conflict")
    assert conflict.train == (1, 3, 6)


def test_rows_that_are_nearly_the_same_are_found_in_any_order_of_their_parts() -> None:
    one = "She trimmed the nails of our old collie without hurting him once, and the bath was warm."
    two = "The bath was warm, and she trimmed the nails of our old collie without hurting him once!"
    report = check(frame_of(*prompts(one, "wet", "dry", "cold", two, "hot")))
    (finding,) = report.findings
    assert (finding.kind, finding.train) == ("near-duplicate", (5,))
    assert "5 (≈ 1, " in finding.text


def test_test_rows_seen_in_training_are_found_even_in_another_prompt() -> None:
    train = frame_of(*prompts(*WORDS[:6]))
    test = frame_of(*prompts("seven", "Two.", "eight", "nine", "ten", around="Comment: {}\nAnswer:\n"), labels="01010")
    report = check(train, test)
    (leak,) = report.of("leak")
    assert (leak.train, leak.test) == ((3,), (2,))
    assert "1 of 5 test rows are also in the training data" in leak.text
    (conflict,) = report.of("conflict")
    assert (conflict.train, conflict.test) == ((3,), (2,))
    assert len(report.of("prompt")) == 1


def test_a_small_test_in_the_prompt_of_the_training_is_compared_by_its_text() -> None:
    report = check(frame_of(*prompts(*WORDS[:6])), frame_of(*prompts("two"), labels="0"))
    assert [finding.kind for finding in report.findings] == ["imbalance", "leak"]


def test_nearly_leaked_rows_are_found() -> None:
    text = "We were in and out within the hour, and both of the beagles looked splendid"
    report = check(frame_of(*prompts(*WORDS[:6], text)), frame_of(*prompts(text + " really", *WORDS[7:12])))
    (finding,) = report.of("near-leak")
    assert (finding.train, finding.test) == ((7,), (1,))
    assert not report.of("leak")


def test_labels_are_looked_at() -> None:
    report = check(frame_of(*prompts(*WORDS[:8]), labels="YyNNNNNN"), frame_of(*prompts("eight", "nine"), labels="N?"))
    assert [finding.text for finding in report.findings] == [
        'Outputs of the training rows that differ only in blanks or case: "Y", "y".',
        'The training rows are out of balance: 6 for "N", but 1 for "y".',
        'Test outputs that no training row has: "?".',
    ]


def test_inputs_that_would_be_left_out_are_found() -> None:
    frame = frame_of("a b c", "a b", "a b c d e f", "a", labels="1010")
    report = check(frame, count_tokens=lambda text: len(text.split()), max_input_tokens=2)
    (finding,) = report.of("too long")
    assert finding.train == (1, 3)
    assert finding.text.endswith("2 of 4 training rows are longer than 2 tokens, and would be left out: 1 (3), 3 (6).")
    assert not report.estimated
    assert report.parts[0].longest == 6


def test_estimated_lengths_say_so() -> None:
    report = check(frame_of("a " * 100, "b"), max_input_tokens=20)
    assert "These lengths are estimates." in report.of("too long")[0].text
    assert "(estimated)" in str(report)
    assert estimate_tokens("one two three") == 4
    assert estimate_tokens("狗很干净") == 3
    assert estimate_tokens("") == 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"input": [], "output": []}), "the training data: there are no rows"),
        (pd.DataFrame({"text": ["x"], "output": ["1"]}), 'row 1: the field "input" is missing'),
        (pd.DataFrame({"input": ["x", None], "output": ["1", "0"]}), 'row 2: the field "input" is null'),
        (pd.DataFrame({"input": ["x", pd.NA], "output": ["1", "0"]}), 'row 2: the field "input" is null'),
        (pd.DataFrame({"input": ["x", "y"], "output": ["1", float("nan")]}), 'row 2: the field "output" is null'),
        (
            pd.DataFrame({"input": ["x", "y"], "output": [1, 0]}),
            'row 1: the field "output" is not text but of type int',
        ),
        (pd.DataFrame({"input": ["x", "\n"], "output": ["1", "0"]}), 'row 2: the field "input" is empty'),
        (pd.DataFrame({"input": ["x", "y"], "output": ["1", "1"]}), 'every row has the output "1"'),
    ],
)
def test_frames_that_cannot_be_used_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check(frame)


def test_a_column_that_is_there_twice_is_named() -> None:
    frame = pd.DataFrame([["a", "1", "0"], ["b", "0", "1"]], columns=["input", "output", "output"])
    with pytest.raises(DatasetError, match=r'^the test data: the field "output" is there twice'):
        check(frame_of("x", "y"), frame)


def test_check_reads_files_and_names_the_bad_one(tmp_path: Path) -> None:
    train = write(tmp_path, "train.json", json.dumps(ROWS))
    assert check(train, str(train)).of("leak")[0].test == (1, 2)
    with pytest.raises(DatasetError, match=r'^test\.csv, row 1: the field "output" is missing'):
        check(train, write(tmp_path, "test.csv", "input\nx\n"))


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(TEXTS, st.sampled_from(["0", "1", "é"])), min_size=1, max_size=12), data=st.data())
def test_any_text_can_be_checked_and_printed(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    frame = pd.DataFrame(rows, columns=["input", "output"])
    train = pd.concat([frame, frame_of("x", "y")], ignore_index=True)
    report = check(train, frame, max_input_tokens=5)
    assert report.of("leak")[0].test == tuple(range(1, len(rows) + 1))
    assert str(report) == str(check(train, frame, max_input_tokens=5))
    assert report._repr_html_().startswith("<table>")


def test_the_report_prints_as_a_table_and_a_list() -> None:
    report = check(frame_of("good <b>dog</b>", "wet", "good <b>dog</b>", labels="101"), count_tokens=len)
    assert str(report) == (
        "          rows  rows per output  longest input, in tokens\n"
        "training  3     0: 1, 1: 2       15\n"
        "\n"
        "To look at before you continue:\n"
        "- 1 of 3 training rows repeat an earlier row: 3 (= 1)."
    )
    assert repr(report) == str(report)
    page = check(frame_of("wet", "dry", labels="<>"))._repr_html_()
    assert "&lt;: 1, &gt;: 1" in page


def test_long_lists_of_rows_are_cut_in_the_text_only() -> None:
    report = check(frame_of(*["dog"] * 40, "wet"))
    (finding,) = report.of("duplicate")
    assert len(finding.train) == 39
    assert finding.text.endswith("11 (= 1) and 29 more.")


def test_similar_pairs_knows_short_texts_and_no_texts() -> None:
    assert list(similar_pairs(["a", "A!", "b", "👍", "👍"])) == [(1, 0, 1.0), (4, 3, 1.0)]
    assert list(similar_pairs([])) == []
    assert list(similar_pairs(["a"], [])) == []


def test_outputs_that_are_no_labels_are_refused() -> None:
    train, test = frame_of("a", "b", "c", labels="011"), frame_of("d", "e", labels="02")
    assert check(train, labels=["0", " 1"]).parts[0].rows == 3
    with pytest.raises(DatasetError, match='the test data, row 2: the output "2" is none of the labels: "0", "1"'):
        check(train, test, labels=["0", "1"])
