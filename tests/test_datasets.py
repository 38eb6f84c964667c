"""Loading, checking, describing, fetching and uploading rows."""

import contextlib
import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers import datasets
from prompt_tuning_helpers.datasets import (
    DatasetError,
    check,
    describe,
    estimate_tokens,
    fetch,
    load_rows,
    reviews_path,
    similar_pairs,
    upload,
)

ROWS = [{"input": "Comment: clean dog", "output": "1"}, {"input": "Comment: wet dog", "output": "0"}]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

# text as it comes: any script, separators, quotes, line ends; but with something to see in it
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())
TABLE_TEXTS = TEXTS.filter(lambda text: "\0" not in text and not text.startswith("\ufeff"))
wild = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def frame_of(*texts: str, labels: str = "") -> pd.DataFrame:
    given_labels = list(labels) or ["01"[n % 2] for n in range(len(texts))]
    return pd.DataFrame({"input": list(texts), "output": given_labels})


# --- load ---------------------------------------------------------------------------------------------------------


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
    text = '[{"input": "x", "output": 1}, {"input": "y", "output": 1.0}, {"input": "z", "output": %s}]' % ("9" * 5000)
    assert load_rows(write(tmp_path, "a.json", text))["output"].tolist() == ["1", "1.0", "9" * 5000]


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


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", r"a\.txt: the name should end in"),
        ("a.json", "", r"a\.json: there are no rows"),
        ("a.json", "[]", r"a\.json: there are no rows"),
        ("a.csv", "input,output\n", r"a\.csv: there are no rows"),
        ("a.json", '[{"input": "x",]', r"a\.json, line 1, column 16: not valid JSON"),
        ("a.jsonl", '{"input": "x", "output": "1"}\n{"input"', r"a\.jsonl, line 2, column 9: not valid JSON"),
        ("a.json", '{\n"rows": []\n}', r"a\.json: expected a list of rows"),
        ("a.json", "[1]", r"a\.json, row 1: expected an object"),
        ("a.jsonl", "\n3", r"a\.jsonl, line 2: expected an object"),
        ("a.json", "[" * 100_000, r"a\.json: nested too deeply"),
        (
            "a.json",
            '[{"text": "x", "output": "1"}]',
            r'row 1: the field "input" is missing; there is: "text", "output"',
        ),
        ("a.json", '[{"input": "x", "output": null}]', r'row 1: the field "output" is null'),
        ("a.json", '[{"input": "x", "output": NaN}]', r'row 1: the field "output" is null'),
        ("a.json", '[{"input": "x", "output": true}]', r'row 1: the field "output" is not text but of type bool'),
        ("a.json", '[{"input": "x", "output": [1]}]', r'row 1: the field "output" is not text but of type list'),
        ("a.json", r'[{"input": "\ud800", "output": "1"}]', r"row 1: .* half a character"),
        ("a.csv", "input,output\nx,1\n  ,1\n", r'a\.csv, row 2: the field "input" is empty'),
        ("a.csv", "input,output\nx,1\ny\n", r'a\.csv, row 2: the field "output" is null'),
        ("a.csv", "input,output\nx,1\ny, z,1\n", r"a\.csv, row 2: more values than the header has columns"),
        ("a.csv", 'input,output\n"x,1\n', r"a\.csv, line 1: unexpected end"),
        ("a.csv", "text,label\nx,1\n", r'row 1: the field "input" is missing; there is: "text", "label"'),
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
    with pytest.raises(DatasetError, match=r"a\.csv is not UTF-8 text \(byte 17\)"):
        load_rows(tmp_path / "a.csv")


def test_the_reviews_are_found_installed_or_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reviews_path("train").name == "dog_grooming_reviews_train_data.json"
    assert datasets.REVIEWS_TEST.exists()
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "package" / "datasets.py"))
    assert reviews_path("test") == tmp_path / "data" / "dog_grooming_reviews_test_data.json"
    installed = tmp_path / "package" / "data" / "dog_grooming_reviews_test_data.json"
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert reviews_path("test") == installed
    with pytest.raises(ValueError, match='no "dev"'):
        reviews_path("dev")


# --- check --------------------------------------------------------------------------------------------------------


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


def test_inputs_that_would_be_cut_off_are_found() -> None:
    frame = frame_of("a b c", "a b", "a b c d e f", "a", labels="1010")
    report = check(frame, count_tokens=lambda text: len(text.split()), max_input_tokens=2)
    (finding,) = report.of("too long")
    assert finding.train == (1, 3)
    assert finding.text.endswith("2 of 4 training rows are longer than 2 tokens, and would be cut off: 1 (3), 3 (6).")
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
        "To look at before you go on:\n"
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


def test_describe_counts_the_words_of_the_texts_only() -> None:
    table = describe(frame_of(*prompts("a", "a b", "a b c", "a b c d", "a b c d e f g")))
    assert table.index.tolist() == ["0", "1", "all"]
    assert table.loc["0"].tolist() == [3, 1, 3, 3.7, 7]
    assert table.loc["all"].tolist() == [5, 1, 3, 3.4, 7]


# --- fetch and upload ---------------------------------------------------------------------------------------------

BODY = json.dumps(ROWS).encode() * 500
RIGHT = hashlib.sha256(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/unsized"):
            self.send_header("Content-Length", str(len(BODY) * (2 if self.path.startswith("/short") else 1)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.requests = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=functools.partial(running.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def requests(server: ThreadingHTTPServer) -> list[str]:
    return list(server.requests)  # type: ignore[attr-defined]


def test_fetch_downloads_once_and_shows_progress(
    server: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = address(server, "some/reviews.json?raw=1")
    for sha256 in (RIGHT, RIGHT.upper(), None):
        path = fetch(url, tmp_path / "new", sha256)
        assert path == tmp_path / "new" / "reviews.json"
        assert path.read_bytes() == BODY
    assert len(requests(server)) == 1
    assert [file.name for file in path.parent.iterdir()] == ["reviews.json"]
    assert "reviews.json 100% of " in capsys.readouterr().out


def test_fetch_takes_files_of_unknown_size_and_quoted_names(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert fetch(address(server, "unsized/my%20dogs.json"), tmp_path).name == "my dogs.json"
    assert requests(server) == ["/unsized/my%20dogs.json"]


def test_fetch_replaces_a_file_with_another_hash(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    old = write(tmp_path, "reviews.json", "old")
    assert fetch(address(server, "reviews.json"), tmp_path).read_text() == "old"
    assert fetch(address(server, "reviews.json"), tmp_path, RIGHT) == old
    assert old.read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone/reviews.json", "cannot be downloaded: the server answered 404"),
        ("short/reviews.json", "cannot be downloaded: .*retrieval incomplete"),
        ("wrong/reviews.json", "its SHA-256 is .* and not 0000"),
    ],
)
def test_fetch_leaves_nothing_behind_when_it_fails(
    server: ThreadingHTTPServer, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        fetch(address(server, path), tmp_path, "0" * 64)
    assert list(tmp_path.iterdir()) == []
    kept = write(tmp_path, "reviews.json", "mine")
    with pytest.raises(DatasetError, match=message):
        fetch(address(server, path), tmp_path, "0" * 64)
    assert kept.read_text() == "mine"


def test_fetch_says_when_there_is_no_network(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DatasetError, match=r"cannot be downloaded: .*refused"):
        fetch(address(server, "reviews.json"), tmp_path)


@pytest.mark.parametrize(
    "url", ["", "reviews.json", "file:///etc/hosts", "http://127.0.0.1/", "https://example.org/a/..", "ftp://x/y.json"]
)
def test_fetch_takes_web_addresses_of_files_only(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatasetError, match="is not an http or https address of a file"):
        fetch(url, tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dogs.json", json.dumps([{**row, "phenomenon": "plain"} for row in ROWS])),
        ("dogs.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("dogs.csv", "\ufeffinput;output\nComment: clean dog;1\nComment: wet dog;0\n"),
    ],
)
def test_upload_sends_a_json_list_of_input_and_output(tmp_path: Path, file: str, text: str) -> None:
    client, sent = MagicMock(), []

    def create(name: str, file_path: str) -> dict[str, str]:
        sent.append((name, Path(file_path).name, json.loads(Path(file_path).read_text(encoding="utf-8")), file_path))
        return {"asset": "details"}

    client.data_assets.create.side_effect = create
    client.data_assets.get_id.return_value = "id-1"
    assert upload(client, write(tmp_path, file, text)) == "id-1"
    client.data_assets.get_id.assert_called_once_with({"asset": "details"})
    assert upload(client, tmp_path / file, name="my reviews") == "id-1"
    assert [entry[:3] for entry in sent] == [("dogs.json", "dogs.json", ROWS), ("my reviews", "dogs.json", ROWS)]
    assert not any(Path(entry[3]).exists() for entry in sent)


def test_upload_refuses_what_cannot_be_loaded(tmp_path: Path) -> None:
    client = MagicMock()
    with pytest.raises(DatasetError, match="there are no rows"):
        upload(client, write(tmp_path, "a.json", "[]"))
    client.data_assets.create.assert_not_called()
