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

from prompt_tuning_helpers.engine import EngineError, TrainingDataError, TuningSettings, models
from prompt_tuning_helpers.engine.models import LoadedModel
from prompt_tuning_helpers.engine.rows import (
    TrainingRow,
    encode_inputs,
    encode_rows,
    read_rows,
    wrap,
)
from prompt_tuning_helpers.engine.settings import check_settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("[]", "no rows"),
        ("nonsense", "line 1"),
        ('"text"', "JSON str, not a list"),
        ('[{"input": "a", "output": "1"}, 3]', "Row 2 is not an object"),
        ('[{"input": "a"}]', "Row 1 has no 'output'"),
        ('[{"output": "1"}]', "Row 1 has no 'input'"),
        ('[{"input": null, "output": "1"}]', "Row 1: 'input' is null"),
        ('[{"input": "a", "output": true}]', "Row 1: 'output' is bool"),
        ('[{"input": "a", "output": "1"}, {"input": " ", "output": "1"}]', "Row 2: 'input' is empty"),
        ('{"input": "a", "output": "1"}\n{"input": "b"}', "Row 2 has no 'output'"),
        ('{"input": "a", "output": "1"}\n{"input": ', "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"input": "a", "output": "1"}\n' * 3 + "oops", "line 4"),
        ('[{"input": "\\ud83d", "output": "1"}]', "Row 1: 'input' holds half a character"),
    ],
)
def test_unusable_data_is_refused_with_the_row_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(TrainingDataError, match=message):
        read_rows(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingDataError, match="UTF-8"):
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
    tokenizer = deepcopy(models.load("tiny").tokenizer)
    tokenizer.eos_token = None
    data = encode_rows([TrainingRow("abc", "good"), TrainingRow("abd", "bad")], tokenizer, settings)
    assert [tokenizer.decode(outputs) for _, outputs in data.rows] == ["go", "ba"]


def test_numbers_become_text(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('\ufeff[{"input": 5, "output": 1}]', encoding="utf-8")
    assert read_rows(path) == [TrainingRow("5", "1")]


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


def test_long_rows_are_left_out_and_outputs_cut(tiny: LoadedModel, settings: TuningSettings) -> None:
    rows = [TrainingRow("short", "good"), TrainingRow("long " * 20, "bad")]
    data = encode_rows(rows, tiny.tokenizer, settings)
    assert (len(data.rows), data.left_out) == (1, 1)
    assert tiny.tokenizer.decode(data.rows[0][1]) == "go"
    with pytest.raises(TrainingDataError, match=r"max_input_tokens=3.*row 1, has 15 tokens"):
        encode_rows(rows, tiny.tokenizer, replace(settings, max_input_tokens=3))


def test_the_verbalizer_is_literal_but_for_its_field(settings: TuningSettings) -> None:
    assert wrap("classify {0, 1} {{input}}\n", "a {{b}}") == "classify {0, 1} a {{b}}\n"
    with pytest.raises(EngineError, match=re.escape("no {{input}} field")):
        check_settings(replace(settings, verbalizer="classify {input}"))
