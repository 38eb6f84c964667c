"""Reading, refusing and describing rows, and finding the reviews."""

import contextlib
import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.datasets import DatasetError, describe, load_rows
from prompt_tuning_helpers.engine import TrainingDataError
from prompt_tuning_helpers.engine.rows import read_rows
from tests.support.examples import ROWS, TEXTS, write

TABLE_TEXTS = TEXTS.filter(lambda text: "\0" not in text and not text.startswith("\ufeff"))
wild = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(ROWS)),
        ("a.json", "\n".join(map(json.dumps, ROWS))),
        ("a.JSON", " \n" + json.dumps(ROWS, indent=2)),
        ("a.jsonl", "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n"),
        ("a.csv", "input,output\nComment: clean dog,1\nComment: wet dog,0\n"),
        ("a.csv", 'output;input\r\n1;Comment: clean dog\r\n0;"Comment: wet dog"\r\n'),
        ("a.csv", "\n\ninput\toutput\nComment: clean dog\t1\n\nComment: wet dog\t0"),
    ],
)
def test_the_same_rows_come_from_each_format(tmp_path: Path, name: str, text: str, bom: str) -> None:
    frame = load_rows(write(tmp_path, name, bom + text))
    assert list(frame.columns) == ["input", "output"]
    assert frame.to_dict("records") == ROWS


@pytest.mark.parametrize("label", ["0", "01", "1.0", "NA", "nan", "null", "None", "TRUE", "1e5", " 1", "-0"])
def test_labels_stay_the_text_they_are(tmp_path: Path, label: str) -> None:
    rows = [{"input": "x", "output": label}]
    assert load_rows(write(tmp_path, "a.json", json.dumps(rows)))["output"].tolist() == [label]
    assert load_rows(write(tmp_path, "a.jsonl", json.dumps(rows[0])))["output"].tolist() == [label]
    assert load_rows(write(tmp_path, "a.csv", f'input,output\nx,"{label}"\n'))["output"].tolist() == [label]


def test_numbers_in_json_become_the_text_they_are_written_as(tmp_path: Path) -> None:
    text = '[{"input": "x", "output": 1}, {"input": "y", "output": 1.0}, {"input": "z", "output": %s}]' % ("9" * 300)
    assert load_rows(write(tmp_path, "a.json", text))["output"].tolist() == ["1", "1.0", "9" * 300]


def test_further_columns_are_kept_behind_the_two(tmp_path: Path) -> None:
    rows = [{"phenomenon": "plain", **ROWS[0]}, {**ROWS[1], "stars": 2}]
    frame = load_rows(write(tmp_path, "a.json", json.dumps(rows)))
    assert list(frame.columns) == ["input", "output", "phenomenon", "stars"]
    assert frame["stars"].tolist() == [None, "2"]


@wild
@given(rows=st.lists(st.tuples(TABLE_TEXTS, TABLE_TEXTS), min_size=1, max_size=5))
def test_any_text_survives_each_format(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    expected = [{"input": text, "output": label} for text, label in rows]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in expected)
    table = "input,output\n" + "".join(
        ",".join('"' + value.replace('"', '""') + '"' for value in row) + "\r\n" for row in rows
    )
    for name, text in [("a.json", json.dumps(expected, ensure_ascii=False)), ("b.jsonl", lines), ("c.csv", table)]:
        assert load_rows(write(tmp_path, name, text)).to_dict("records") == expected


@wild
@given(content=st.binary(max_size=60), suffix=st.sampled_from([".json", ".jsonl", ".csv"]))
def test_whatever_a_file_holds_the_only_error_is_ours(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(DatasetError):
        assert len(load_rows(path)) > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["input", "output", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@wild
@given(value=JSON)
def test_whatever_json_holds_the_only_error_is_ours(tmp_path: Path, value: Any) -> None:
    with contextlib.suppress(DatasetError):
        frame = load_rows(write(tmp_path, "a.json", json.dumps(value)))
        assert all(isinstance(v, str) and v.strip() for v in [*frame["input"], *frame["output"]])


# JSON as it should not be, among JSON as it should be
NUMBERS = ["NaN", "-Infinity", "1e999", "1e5", "1.0", "-0", "01", "9" * 400]
STRINGS = ['"x"', '" "', '"\\ud800"', '"\\u0000"', '"\u2028"', '"\t"', "'x'"]
TOKENS = st.sampled_from([*NUMBERS, *STRINGS, "null", "true", "[]", '{"a": 1, "a": 2}', '{"input": NaN}'])
ODD_OBJECTS = st.lists(st.tuples(st.sampled_from(["input", "output", "x", "\\ud800"]), TOKENS), max_size=4).map(
    lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
)
GOOD_OBJECTS = st.tuples(TEXTS, TEXTS).map(lambda pair: json.dumps({"input": pair[0], "output": pair[1]}))
ENTRIES = st.lists(GOOD_OBJECTS | ODD_OBJECTS | TOKENS, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", " ", "\u2028"])
DOCUMENTS = (
    ENTRIES.map(lambda entries: "[" + ",\n".join(entries) + "]")
    | st.tuples(ENTRIES, ENDS).map(lambda lines: lines[1].join(lines[0]))
    | st.tuples(st.sampled_from(["", "\ufeff"]), JSON.map(json.dumps)).map("".join)
)


@settings(wild, max_examples=300)
@given(content=DOCUMENTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60))
def test_the_engine_takes_the_same_files_and_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    (tmp_path / "a.jsonl").write_bytes(content)
    by_engine = rows_or_refusal(lambda path: [(row.input, row.output) for row in read_rows(path)], path)
    for name in ("a.json", "a.jsonl"):
        by_datasets = rows_or_refusal(list_of_rows, tmp_path / name)
        assert by_datasets == (
            by_engine.replace("The training data", name) if isinstance(by_engine, str) else by_engine
        )


def list_of_rows(path: Path) -> list[tuple[str, str]]:
    frame = load_rows(path)
    return list(zip(frame["input"], frame["output"], strict=True))


def rows_or_refusal(read: Callable[[Path], list[tuple[str, str]]], path: Path) -> list[tuple[str, str]] | str:
    """What is read, or the message why not, which can be sent and printed."""
    try:
        return read(path)
    except (TrainingDataError, DatasetError) as refusal:
        return str(refusal).encode().decode()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", r"a\.txt: the name should end in"),
        ("a.json", "", r"a\.json: there are no rows"),
        ("a.json", "[]", r"a\.json: there are no rows"),
        ("a.csv", "", r"a\.csv: there are no rows"),
        ("a.csv", "\n \n", r"a\.csv: there are no rows"),
        ("a.csv", "input,output\n", r"a\.csv: there are no rows"),
        ("a.json", '[{"input": "x",]', r"a\.json, line 1, column 16: not valid JSON"),
        ("a.jsonl", '{"input": "x", "output": "1"}\n{"input"', r"a\.jsonl, line 2, column 9: not valid JSON"),
        (
            "a.json",
            '{\n"input": "x"\n}\n{\n}',
            r"a\.json, line 4, column 1: .*; expected a list of rows",
        ),
        ("a.json", '{\n"rows": []\n}', r'a\.json, row 1: the field "input" is missing; there is: "rows"'),
        ("a.json", "[1]", r"a\.json, row 1: expected an object"),
        ("a.jsonl", "\n3", r"a\.jsonl, row 1: expected an object"),
        ("a.json", "[" * 100_000, r"a\.json: nested too deeply"),
        (
            "a.json",
            '[{"text": "x", "output": "1"}]',
            r'row 1: the field "input" is missing; there is: "text", "output"',
        ),
        ("a.json", '[{"input": "x", "output": null}]', r'row 1: the field "output" is null'),
        ("a.json", '[{"input": "x", "output": NaN}]', r'row 1: the field "output" holds NaN, which JSON does not have'),
        ("a.json", '[{"input": "x", "output": 1e999}]', r'row 1: the field "output" holds a number that is too large'),
        ("a.json", '[{"input": "x", "output": true}]', r'row 1: the field "output" is not text but of type bool'),
        ("a.json", '[{"input": "x", "output": [1]}]', r'row 1: the field "output" is not text but of type list'),
        ("a.json", '[{"input": "x", "input": "y", "output": 1}]', r'row 1: the field "input" is there twice'),
        ("a.json", r'[{"input": "\ud800", "output": "1"}]', r"row 1: .* half a character"),
        ("a.csv", "input,output\nx,1\n  ,1\n", r'a\.csv, row 2: the field "input" is empty'),
        ("a.csv", "input,output\nx,1\ny\n", r'a\.csv, row 2: the field "output" is null'),
        ("a.csv", "input,output\nx,1\ny, z,1\n", r"a\.csv, row 2: more values than the header has columns"),
        ("a.csv", '\n\ninput,output\n"x,1\n', r"a\.csv, line 4: not a valid table \(unexpected end of data\)"),
        ("a.csv", 'input,output\n"say "x"",1', r"a\.csv, line 2: .* inside double quotes, write each quote twice"),
        ("a.csv", "text,label\nx,1\n", r'row 1: the field "input" is missing; there is: "text", "label"'),
        ("a.csv", "input,output,output\nx,1,0\n", r'a\.csv: the field "output" is there twice'),
        ("a.csv", ",".join(map(str, range(10_000))) + "\n1", r'the field "input" is missing; .*"9", \.\.\.\.$'),
        ("a.csv", "input,output\nx\0,1\n", r"a\.csv: this is not UTF-8 text \(byte 15\)"),
    ],
)
def test_a_bad_file_is_named_with_place_and_reason(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load_rows(write(tmp_path, name, text))
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_and_another_encoding_are_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.json cannot be read: No such file"):
        load_rows(tmp_path / "none.json")
    (tmp_path / "a.csv").write_bytes("input,output\ncafé,1\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"a\.csv: this is not UTF-8 text \(byte 17\); save it as UTF-8"):
        load_rows(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes("input,output\ncafé,1\n".encode("utf-16"))
    with pytest.raises(DatasetError, match=r"not UTF-8 text \(byte 1\)"):
        load_rows(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a\0.json", "a\ud800.json", "x" * 300 + ".csv"])
def test_a_name_that_no_file_can_have_is_told(name: str) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        load_rows(name)


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    os.mkfifo(tmp_path / "a.csv")
    for name in ("a.json", "a.csv"):
        with pytest.raises(DatasetError, match=rf"{name} is a folder or a device; give the name of a file"):
            load_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ('"a;b;c;d;e",input,output', "1,x,0"),
        ("a;b;c;d;e,input,output", "1,x,0"),
        ('"a,b,c\n,d";input;output;"e,f"', "1;x;0;2"),
        ('"input"\t"output"\t"a,b,c,d"', "x\t0\t1"),
    ],
)
def test_separators_inside_names_do_not_separate(tmp_path: Path, header: str, values: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        frame = load_rows(write(tmp_path, "a.csv", header + end + values + end))
        assert frame[["input", "output"]].to_dict("records") == [{"input": "x", "output": "0"}]


def test_a_field_may_have_any_length(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    text = "long " * 100_000
    assert load_rows(write(tmp_path, "a.csv", f'input,output\n"{text}",1\n'))["input"].tolist() == [text]
    assert csv.field_size_limit() == limit


def test_columns_without_a_name_do_no_harm(tmp_path: Path) -> None:
    frame = load_rows(write(tmp_path, "a.csv", "input,output,,\nx,1,,\n"))
    assert frame[["input", "output"]].to_dict("records") == [{"input": "x", "output": "1"}]


def test_describe_counts_the_words_of_the_texts_only() -> None:
    texts = ["a", "a b", "a b c", "a b c d", "a b c d e f g"]
    inputs = [f"Say whether it is good.\nComment: {text}\nAnswer:\n" for text in texts]
    table = describe(pd.DataFrame({"input": inputs, "output": list("01010")}))
    assert table.index.tolist() == ["0", "1", "all"]
    assert table.loc["0"].tolist() == [3, 1, 3, 3.7, 7]
    assert table.loc["all"].tolist() == [5, 1, 3, 3.4, 7]


def test_describe_says_what_it_cannot_describe() -> None:
    with pytest.raises(DatasetError, match=r"the data: there are no rows"):
        describe(pd.DataFrame({"input": [], "output": []}))
    with pytest.raises(DatasetError, match=r'the data, row 1: the field "input" is missing; there is: "text"'):
        describe(pd.DataFrame({"text": ["x"], "output": ["1"]}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,the text,kind,output\n7,clean dog,1,x\n"),
        ("a.csv", '"a,b,c,d,e";the text;kind\n7;clean dog;1\n'),
        ("a.json", '[{"the text": "clean dog", "kind": 1, "id": 7, "input": "x"}]'),
        ("a.jsonl", '{"kind": "1", "the text": "clean dog"}'),
    ],
)
def test_the_two_columns_may_have_other_names(tmp_path: Path, name: str, text: str) -> None:
    frame = load_rows(write(tmp_path, name, text), input_column="the text", output_column="kind")
    assert list(frame.columns[:2]) == ["input", "output"]
    assert len(set(frame.columns)) == len(frame.columns)
    assert frame[["input", "output"]].to_dict("records") == [{"input": "clean dog", "output": "1"}]


def test_columns_that_are_not_there_are_told_by_their_names(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\nx,\n")
    with pytest.raises(DatasetError, match='row 1: the field "message" is missing; there is: "text", "label"'):
        load_rows(path, input_column="message", output_column="label")
    with pytest.raises(DatasetError, match='row 1: the field "label" is empty'):
        load_rows(path, input_column="text", output_column="label")
    with pytest.raises(DatasetError, match='"text" cannot be both input and output'):
        load_rows(path, input_column="text", output_column="text")
