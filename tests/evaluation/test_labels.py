"""Which labels there are, and reading one out of an answer."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prompt_tuning_helpers.evaluation import evaluate, labels_of, parse_label
from prompt_tuning_helpers.evaluation.writing_systems import fold


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("1", "1"),
        (" 1\n", "1"),
        ("1.0", "1"),
        ("1.", "1"),
        ("Label: 0", "0"),
        ("Label:0", "0"),
        ('"0"', "0"),
        ("**1**", "1"),
        ("\n\n1\nComment: next\n0", "1"),
        ("Answer:\n0", "0"),
        ("I would say 1, clearly.", "1"),
        ("1 1", "1"),
        ("0 or 1", None),
        ("1,0", None),
        ("0,1", None),
        ("1, 0", None),
        ("1,5", None),
        ("5,1", None),
        ("1.0, 1", "1"),
        ("1-0", None),
        ("1 -0", None),
        ("1...0", None),
        ("1.1", None),
        ("_1_", "1"),
        ("__1__.", "1"),
        ("label_1", None),
        ("1_0", None),
        ("0.1", None),
        ("0.5: label 1", "1"),
        ("5, so 1", "1"),
        ("1\n0", "1"),
        ("1,0\n1", None),
        ("\u22121", None),
        ("", None),
        ("I love dogs!", None),
        ("10", None),
        ("1.5", None),
        ("-1", None),
        ("5,-1", None),
        ("a.-1", None),
        ("dogs..1", None),
        ("1,000", None),
        ("2", None),
        (None, None),
        (1, None),
    ],
)
def test_labels_are_read_out_of_answers(answer: object, label: str | None) -> None:
    assert parse_label(answer) == label


def test_labels_may_be_words() -> None:
    labels = ("not sure", "not", "Billing")
    assert parse_label("billing.", labels) == "Billing"
    assert parse_label("I am not sure", labels) == "not sure"
    assert parse_label("not billing", labels) is None
    assert parse_label("not,Billing", labels) is None
    assert parse_label("not-billing", labels) is None


@pytest.mark.parametrize(
    ("labels", "answer", "label"),
    [
        (("-1", "1"), "-1", "-1"),
        (("-1", "1"), "Label: 1.", "1"),
        (("-1", "1"), "1 -1", None),
        (("-1", "1"), "1,-1", None),
        (("-1", "1"), "-1-1", None),
        (("1", "1.5"), "1.5", "1.5"),
        (("1", "1.5"), "1", "1"),
        (("1", "1.0", "0"), "1.00", "1"),
        (("1", "1.0", "0"), "1.0", "1.0"),
        (("C", "C++"), "C++!", "C++"),
        (("N/A", "v1.2"), "n/a", "N/A"),
        (("N/A", "v1.2"), "v1.2.", "v1.2"),
        (("N/A", "v1.2"), "v1.25", None),
        (("a.b", "axb"), "axb", "axb"),
        (("a|b", "a"), "a|b", "a|b"),
        (("★", "★★"), "**★★**", "★★"),
        (("★", "★★"), "★★-rated", None),
        (("?", "!"), "What?", None),
        (("?", "!"), "?", "?"),
        (("坏", "好"), "回答: 好。", "好"),
        (("坏", "好"), "好、坏", None),
        (("1", "2", "3"), "1,3", None),
        (("1", "2", "3"), "1,4", None),
    ],
)
def test_labels_may_hold_punctuation_and_digits(labels: tuple[str, ...], answer: str, label: str | None) -> None:
    assert parse_label(answer, labels) == label


LABEL_SETS = st.sampled_from([("0", "1"), ("-1", "1"), ("bad", "good"), ("not sure", "sure thing"), ("v1.2", "N/A")])


# what may stand beside a label: words without labels, and punctuation that makes no number, name or word of it
BESIDE = st.text(alphabet=" \t\"'*_:()!?#|/", max_size=6)


AROUND = st.lists(st.sampled_from(["The", "label", "is", "7", "2.5", "3,4", "dogs.", "I'd say:"]), max_size=4).map(
    " ".join
)


@given(LABEL_SETS, st.sampled_from([0, 1]), AROUND, BESIDE, BESIDE, AROUND)
def test_harmless_text_around_a_label_does_not_matter(
    labels: tuple[str, str], which: int, before: str, left: str, right: str, after: str
) -> None:
    assert parse_label(f"{before} {left}{labels[which]}{right} {after}", labels) == labels[which]


@given(LABEL_SETS, st.booleans(), st.text(alphabet=" \t,.;:-/|&+*'\"()_", min_size=1, max_size=5) | st.just(" or "))
def test_two_different_labels_are_no_answer(labels: tuple[str, str], swapped: bool, separator: str) -> None:
    first, second = reversed(labels) if swapped else labels
    answer = f"{first}{separator}{second}"
    assume(not re.search(r"\d\.0\b", answer))  # 1.0 is the number 1
    assume(separator[-1] + second not in labels)  # with a minus before it, 1 is -1
    assert parse_label(answer, labels) is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((), "no labels"),
        (("0", ""), "label ''.*not empty"),
        (("0", " "), "label ' '.*not empty"),
        (("0", "a\nb"), r"label 'a\\nb': it must be one line"),
        (("yes", "Yes"), "'yes' and 'Yes'"),
        ((0, 1), "0 is of type int"),
    ],
)
def test_labels_that_no_answer_can_name_are_refused(labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(["0"], ["0"], labels)


@given(st.text())
def test_any_text_gives_a_label_or_nothing(answer: str) -> None:
    label = parse_label(answer)
    assert label in ("0", "1", None)
    if label is not None:
        assert label in answer


@given(st.sampled_from("01"), st.text(alphabet=" \n\t\"'*_.:()!"), st.text(alphabet=" \n\t\"'*_:()!"))
def test_decoration_does_not_matter(label: str, before: str, after: str) -> None:
    if before[-1:] != ".":
        assert parse_label(before + label + after) == label


TICKETS = ("how_to", "hardware support", "BILLING", "bug", "bugs", "support")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("how_to", "how_to"),
        ("How_To.", "how_to"),
        ("**how_to**", "how_to"),
        ("Label: Hardware  Support", "hardware support"),
        ("hardware\tsupport!", "hardware support"),
        ("support", "support"),
        ("billing", "BILLING"),
        ("Category: BILLING.", "BILLING"),
        ("bug", "bug"),
        ("bugs", "bugs"),
        ("It is a bug, clearly.", "bug"),
        ("bug or bugs", None),
        ("how", None),
        ("how_to_do", None),
        ("hardware", None),
        ("hardware supported", None),
        ("debug", None),
    ],
)
def test_labels_of_several_words_and_labels_within_labels(answer: str, label: str | None) -> None:
    assert parse_label(answer, TICKETS) == label


@pytest.mark.parametrize(
    ("labels", "answer", "label"),
    [
        (("满意", "不满意"), "不满意", "不满意"),
        (("满意", "不满意"), "满意。", "满意"),
        (("满意", "投诉"), "不满意", None),
        (("满意", "投诉"), "我很满意", None),
        (("满意", "投诉"), "标签\uff1a投诉", "投诉"),
        (("满意", "投诉"), "满意、投诉", None),
        (("0", "1"), "答案是1。", "1"),
        (("0", "1"), "答案是10。", None),
        (("spam", "ham"), "这是spam邮件", "spam"),
        (("はい", "いいえ"), "「はい」", "はい"),
        (("ดี", "ไม่ดี"), "ไม่ดี", "ไม่ดี"),
        (("ดี", "แย่"), "ไม่ดี", None),
        (("हा", "ना"), "हाँ", None),
        (("हाँ", "ना"), "उत्तर: हाँ।", "हाँ"),
        (("да", "нет"), "ДА!", "да"),
        (("да", "нет"), "дать", None),
        (("نعم", "لا"), "الجواب: نعم", "نعم"),
        (("نعم", "لا"), "لاحقا", None),
        (("Straße", "Weg"), "STRASSE", "Straße"),
        (("cafe\u0301", "bar"), "Café", "cafe\u0301"),
        (("caf\u00e9", "cafe"), "cafe", "cafe"),
        (("★", "★★"), "★\ufe0f★\ufe0f", "★★"),
    ],
)
def test_labels_in_other_scripts(labels: tuple[str, ...], answer: str, label: str | None) -> None:
    assert parse_label(answer, labels) == label


ANY_LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12).filter(fold)


@given(st.lists(ANY_LABEL, min_size=1, max_size=12, unique_by=fold), st.data())
def test_a_label_alone_is_that_label(labels: list[str], data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(labels))
    assert parse_label(f" {label.upper() if fold(label.upper()) == fold(label) else label} \n", labels) == label


@pytest.mark.parametrize(
    ("truth", "labels"),
    [
        (["1", "1"], ("0", "1")),
        ([1, 0.0], ("0", "1")),
        ([2, 1.0, 10], ("1", "2", "10")),
        (["b", "a", "C", "a"], ("a", "b", "C")),
        (["Bug", "bug", " BUG"], ("Bug",)),
        (["投诉", "how_to"], ("how_to", "投诉")),
        (["option 1", "option 0"], ("option 0", "option 1")),
    ],
)
def test_labels_are_those_of_the_rows(truth: list[object], labels: tuple[str, ...]) -> None:
    assert labels_of(truth) == labels


@pytest.mark.parametrize("nothing", [None, float("nan"), "", "  "])
def test_a_row_without_a_label_is_named(nothing: object) -> None:
    with pytest.raises(ValueError, match=r"Row 1 has no label"):
        labels_of(["a", nothing])
