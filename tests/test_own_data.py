"""The notebook for one's own data, on data that it was not written for: only its cell of choices is changed."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning_helpers.datasets import DatasetError
from prompt_tuning_helpers.double import Watsonx

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "tune_on_your_own_data.ipynb"
CELLS = {cell["id"]: "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"]}
CODE = [cell["id"] for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]

SUBJECTS = ("Der Zug", "Le train", "El tren", "The train", "Tåget", "列车", "Поезд")
ENDINGS = ("kam zu spät", "hatte keine Heizung; nur Kälte", 'war "pünktlich"', "hielt, ohne Grund", "fuhr gar nicht")

CHOICES = {
    "input_column, output_column": ("Text der Meldung", "Art"),
    "validation_share, test_share, seed": (0.2, 0.2, 1),
    "template": "Meldung: {{input}}\nArt: ",
    "examples": [("Es war kalt.", "A"), ("Zu laut.", "B")],
    "prompts": {"Frage": "{{input}}\nWelche Art?"},
    "settings": {
        "learning_rate": 0.05,
        "batch_size": 16,
        "accumulate_steps": 1,
        "num_epochs": 1,
        "max_input_tokens": 128,
    },
    "new_texts": ["Der Bus war voll."],
}


def table(path: Path, labels: list[str], separator: str = ",", rows: int = 10) -> None:
    """Write a table with so many rows of each label, and columns that nobody needs."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["Nr", "Text der Meldung", "Art", ""])
        for number in range(rows * len(labels)):
            text = f"{SUBJECTS[number % 7]} {ENDINGS[number % 5]}, {number * 7919}"
            writer.writerow([number, text, labels[number % len(labels)], ""])


def run(changes: dict[str, Any], last: str) -> dict[str, Any]:
    """Run the cells up to one of them, with other choices; the names that they have defined."""
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *things: None}  # as a kernel has it
    for name in CODE:
        source = changed(CELLS[name], changes) if name == "choices" else CELLS[name]
        exec(compile(source, name, "exec"), names)
        if name == last:
            return names
    raise LookupError(last)


def changed(source: str, changes: dict[str, Any]) -> str:
    """Put other values into the cell of choices, each where the old one is assigned."""
    source += "\n"
    for name, value in changes.items():
        # A value ends where the next line is one that is not indented, nor closes a bracket or a text.
        pattern = rf"^{re.escape(name)} = .*\n(?:[ )\]}}].*\n)*"
        assignment = f"{name} = {value!r}\n".replace("\\", r"\\")  # a backslash would begin a group
        source, times = re.subn(pattern, assignment, source, flags=re.M)
        assert times == 1, name
    return source


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "separator"),
    [(["1", "0"], ";"), (["Verspätung", "Kälte", "Lärm", "sehr voll", "A1", "其他", "B"], "\t")],
)
def test_another_table_with_two_or_seven_labels(
    watsonx: Watsonx, tmp_path: Path, labels: list[str], separator: str
) -> None:
    table(tmp_path / "Meldungen 2026.csv", labels, separator)
    choices = CHOICES | {"file": str(tmp_path / "Meldungen 2026.csv"), "labels": labels, "remove_all": True}
    names = run(choices, CODE[-1])
    assert len(names["train"]) == 6 * len(labels)
    assert len(names["validation"]) == len(names["test"]) == 2 * len(labels)
    assert names["chosen"].verbalizer == "Meldung: {{input}}\nArt: "
    assert names["chosen"].init_text == "Meldung: Es war kalt.\nArt: A\nMeldung: Zu laut.\nArt: B\n"
    assert list(names["rivals"]) == ["most frequent label", "counting words", "Frage"]
    assert names["comparison"].tuned.labels == tuple(labels)
    assert names["comparison"].tuned.n == 2 * len(labels)
    assert names["comparison"].rival == names["best"]
    client = names["client"]
    assert client.deployments.get_details()["resources"] == []
    assert client.repository.get_model_details()["resources"] == []


@pytest.mark.slow
def test_settings_can_be_searched_within_the_budget(
    watsonx: Watsonx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "a.csv", ["ja", "nein"])
    choices = CHOICES | {"file": str(tmp_path / "a.csv"), "labels": None, "settings": "search", "minutes": 0.001}
    names = run(choices, "settings")
    assert names["labels"] == ["ja", "nein"]
    assert len(names["search"].trials) == 1
    assert names["search"].ended_early == "it was allowed 0.001 minutes."
    assert names["search"].held_back == len(names["validation"])
    assert names["chosen"].verbalizer == CHOICES["template"]
    assert names["chosen"].max_output_tokens == names["longest_label"] + 1
    assert "The search makes" in capsys.readouterr().out


def one_label(path: Path) -> None:
    table(path, ["ja"])


def latin(path: Path) -> None:
    path.write_bytes("Text der Meldung,Art\nZu spät,ja\n".encode("latin-1"))


def without_the_column(path: Path) -> None:
    path.write_text("text,Art\nZu laut,ja\n", encoding="utf-8")


def an_empty_row(path: Path) -> None:
    path.write_text("Text der Meldung;Art\nZu laut;ja\n;\n", encoding="utf-8")


def a_rare_label(path: Path) -> None:
    table(path, ["ja", "nein"])
    path.write_text(path.read_text(encoding="utf-8") + "99,Ein Versehen,vielleicht,\n", encoding="utf-8")


def nothing(path: Path) -> None:
    path.write_text("Text der Meldung,Art\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (one_label, r'every row has the output "ja"; to learn a difference takes rows of at least two'),
        (latin, r"own\.csv: this is not UTF-8 text \(byte 27\); save it as UTF-8"),
        (without_the_column, r'row 1: the field "Text der Meldung" is missing; there is: "text", "Art"'),
        (an_empty_row, r'row 2: the field "Text der Meldung" is empty; fill it in, or leave the row out'),
        (a_rare_label, r'an output needs at least 3 different rows; these have fewer: "vielleicht" \(1\)'),
        (nothing, r"own\.csv: there are no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_else(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "own.csv")
    choices = CHOICES | {"file": str(tmp_path / "own.csv"), "labels": None}
    with pytest.raises(DatasetError, match=message):
        run(choices, "split-data")


def test_a_label_that_nobody_named_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "own.csv", ["ja", "nein"])
    choices = CHOICES | {"file": str(tmp_path / "own.csv"), "labels": ["ja", "no"]}
    with pytest.raises(
        DatasetError, match=r'the training data, row 2: the output "nein" is none of the labels: "ja", "no"'
    ):
        run(choices, "check-data")
