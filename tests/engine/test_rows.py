"""Training data is read and encoded as promised, and refused with the row named."""

import json
import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from prompt_tuning_helpers.engine import EngineError, TrainingDataError, TuningSettings, loading
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, encode_rows, read_rows, wrap
from prompt_tuning_helpers.engine.settings import check_settings
from prompt_tuning_helpers.lesson import reviews_path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "training data: there are no rows"),
        ("[]", "there are no rows"),
        ("nonsense", "line 1, column 1: not valid JSON"),
        ('"text"', "row 1: expected an object"),
        ('[{"input": "a", "output": "1"}, 3]', "row 2: expected an object"),
        ("[{}]", "row 1: expected an object"),
        ("[NaN]", "row 1: expected an object"),
        ('[{"input": "a"}]', 'row 1: the field "output" is missing; there is: "input"'),
        ('[{"output": "1"}]', 'row 1: the field "input" is missing'),
        ('[{"input": null, "output": "1"}]', 'row 1: the field "input" is null'),
        ('[{"input": "a", "output": true}]', 'row 1: the field "output" is not text but of type bool'),
        ('[{"input": "a", "output": "1"}, {"input": " ", "output": "1"}]', 'row 2: the field "input" is empty'),
        ('{"input": "a", "output": "1"}\n{"input": "b"}', 'row 2: the field "output" is missing'),
        ('{"input": "a", "output": "1"}\n{"input": ', "line 2, column 11: not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"input": "a", "output": "1"}\n' * 3 + "oops", "line 4, column 1"),
        ('[\n{"input": "a"\n"output": "1"}]', "line 3, column 1: not valid JSON .*expected a list of rows"),
        ('[{"input": "\\ud83d", "output": "1"}]', 'row 1: the field "input" holds half a character'),
        ('[{"input": "a", "output": "1", "\\ud83d": "x"}]', r'row 1: the field "\\ud83d" holds half a character'),
        ('[{"input": "a", "output": %s}]' % ("9" * 5000), 'row 1: the field "output" holds a number that is too large'),
        ('[{"input": "a", "output": -1e999}]', 'row 1: the field "output" holds a number that is too large, -1e999'),
        ('[{"input": "a", "output": NaN}]', 'row 1: the field "output" holds NaN, which JSON does not have'),
        ('[{"input": "a", "output": "1", "x": [-Infinity]}]', 'row 1: the field "x" holds -Infinity'),
        ('[{"input": "a", "output": "1", "output": "0"}]', 'row 1: the field "output" is there twice'),
        ('[{"input": "a", "output": "1", "x": {"y": 1, "y": 2}}]', 'row 1: the field "y" is there twice'),
        (json.dumps([dict.fromkeys(map(str, range(10_000)))]), 'there is: "0", .*"9", ...\\.$'),
    ],
)
def test_unusable_data_is_refused_with_the_row_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(TrainingDataError, match=message):
        read_rows(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    for content, byte in [(b"\xff\xfe\x00", 1), (b"\xef\xbb\xbf[\xff", 5), ("[]".encode("utf-16-le"), 2)]:
        path.write_bytes(content)
        with pytest.raises(TrainingDataError, match=rf"not UTF-8 text \(byte {byte}\)"):
            read_rows(path)


def test_a_line_separator_inside_a_text_does_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"input": "a\u2028b", "output": "1"}\n{"input": "c", "output": "0"}\n', encoding="utf-8")
    assert [row.input for row in read_rows(path)] == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"init_method": "txet"}, "init_method"),
    ],
)
def test_settings_that_no_run_could_work_with_are_refused(
    settings: TuningSettings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        check_settings(replace(settings, **change))


def test_a_tokenizer_without_an_end_token(settings: TuningSettings) -> None:
    tokenizer = deepcopy(loading.load("tiny").tokenizer)
    tokenizer.eos_token = None
    data = encode_rows([TrainingRow("abc", "good"), TrainingRow("abd", "bad")], tokenizer, settings)
    assert [tokenizer.decode(outputs) for _, outputs in data.rows] == ["go", "ba"]


@pytest.mark.parametrize("number", ["1", "-0", "1.0", "0.10", "1e5", "9" * 300])
def test_numbers_become_the_text_that_they_are_written_as(tmp_path: Path, number: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(f'\ufeff[{{"input": 5, "output": {number}}}]', encoding="utf-8")
    assert read_rows(path) == [TrainingRow("5", number)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n \r\n"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(end.join(['{"input": "a", "output": "1"}', '{"input": "b", "output": "0"}', ""]).encode())
    assert read_rows(path) == [TrainingRow("a", "1"), TrainingRow("b", "0")]


def test_the_lessons_rows_are_those_that_any_reader_of_json_gives() -> None:
    for split in ("train", "test"):
        path = reviews_path(split)
        plain = json.loads(path.read_text(encoding="utf-8"))
        assert read_rows(path) == [TrainingRow(row["input"], row["output"]) for row in plain]


json_value = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@hypothesis_settings(deadline=None)
@given(json_value | st.lists(st.fixed_dictionaries({"input": json_value, "output": json_value})))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("data") / "data.json"
    path.write_text(json.dumps(value))
    with suppress(TrainingDataError):
        rows = read_rows(path)
        assert rows
        assert all(row.input.strip() and row.output.strip() for row in rows)


def test_rows_share_their_beginning(tiny: LoadedModel, settings: TuningSettings) -> None:
    data = encode_rows([TrainingRow("abc one", "1"), TrainingRow("abc two", "0")], tiny.tokenizer, settings)
    whole = encode_inputs(["classify: abc one", "classify: abc two"], tiny.tokenizer)
    assert tiny.tokenizer.decode(data.shared) == "classify: abc "
    assert [data.shared + inputs for inputs, _ in data.rows] == whole
    assert [outputs for _, outputs in data.rows] == [
        [tiny.tokenizer.convert_tokens_to_ids(label), tiny.tokenizer.eos_token_id] for label in "10"
    ]


def test_a_row_that_begins_another_keeps_a_token(tiny: LoadedModel, settings: TuningSettings) -> None:
    data = encode_rows([TrainingRow("abc", "1"), TrainingRow("abc", "1")], tiny.tokenizer, settings)
    assert all(len(inputs) == 1 for inputs, _ in data.rows)


def test_long_rows_are_omitted_and_outputs_cut(tiny: LoadedModel, settings: TuningSettings) -> None:
    rows = [TrainingRow("short", "good"), TrainingRow("long " * 20, "bad")]
    data = encode_rows(rows, tiny.tokenizer, settings)
    assert len(data.rows) == 1
    assert tiny.tokenizer.decode(data.rows[0][1]) == "go"
    with pytest.raises(TrainingDataError, match=r"max_input_tokens=3.*row 1, has 15 tokens"):
        encode_rows(rows, tiny.tokenizer, replace(settings, max_input_tokens=3))


def test_the_verbalizer_is_literal_but_for_its_field(settings: TuningSettings) -> None:
    assert wrap("classify {0, 1} {{input}}\n", "a {{b}}") == "classify {0, 1} a {{b}}\n"
    with pytest.raises(EngineError, match=re.escape("no {{input}} field")):
        check_settings(replace(settings, verbalizer="classify {input}"))
