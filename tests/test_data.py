"""Holds the reviews and their datasheet to what the lesson needs; as a script, prints the datasheet's figures."""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from statistics import mean, median
from typing import NamedTuple

import pytest

from prompt_tuning_helpers.datasets import check, similar_pairs
from prompt_tuning_helpers.lesson import reviews_path

HEAD = (
    "Decide whether the customer of a dog grooming business is satisfied. "
    "Answer 1 for satisfied and 0 for not satisfied.\nComment: "
)
TAIL = "\nSatisfaction:\n"
PHENOMENA = ("plain", "negation", "mixed", "irony", "implied", "third party", "faint praise")
SPLITS = ("train", "test")
DATASHEET = reviews_path("train").with_name("README.md")

TELLING_ROWS = 8  # rows from which a phrase counts
TELLING_SHARE = 0.9  # of its rows under one label, from which it would give the label away
SIMILAR = {"pieces of five characters": 0.25, "words, in any order": 0.45, "three words in a row": 0.15}


class Review(NamedTuple):
    text: str
    label: str
    phenomenon: str  # empty in the training data


def reviews(split: str) -> list[Review]:
    rows = json.loads(reviews_path(split).read_text(encoding="utf-8"))
    return [
        Review(r["input"].removeprefix(HEAD).removesuffix(TAIL), r["output"], r.get("phenomenon", "")) for r in rows
    ]


def all_reviews() -> list[Review]:
    return [review for split in SPLITS for review in reviews(split)]


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def lengths(split: str, label: str) -> list[int]:
    return [len(review.text.split()) for review in reviews(split) if review.label == label]


def runs(text: str, count: int) -> set[str]:
    listed = words(text)
    return {" ".join(listed[i : i + count]) for i in range(len(listed) - count + 1)}


def phrases() -> Iterator[tuple[str, int, float]]:
    """Each phrase of one to three words in enough rows, in how many, and the larger label's share of them."""
    found = Counter(
        (phrase, review.label) for review in all_reviews() for count in (1, 2, 3) for phrase in runs(review.text, count)
    )
    for phrase in sorted({phrase for phrase, _ in found}):
        counts = [found[phrase, label] for label in "01"]
        if sum(counts) >= TELLING_ROWS:
            yield phrase, sum(counts), max(counts) / sum(counts)


def jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / max(1, len(left | right))


def most_similar() -> dict[str, float]:
    """The similarity of the two most similar reviews of both files, by each measure."""
    texts = [review.text for review in all_reviews()]
    bags, triples = [set(words(text)) for text in texts], [runs(text, 3) for text in texts]
    return dict(
        zip(
            SIMILAR,
            (
                max(similarity for _, _, similarity in similar_pairs(texts, limit=0.1)),
                max(itertools.starmap(jaccard, itertools.combinations(bags, 2))),
                max(itertools.starmap(jaccard, itertools.combinations(triples, 2))),
            ),
            strict=True,
        )
    )


def baseline(**features: object) -> float:
    """Test accuracy of a logistic regression on TF-IDF features, with scikit-learn's default settings."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = reviews("train"), reviews("test")
    model = make_pipeline(TfidfVectorizer(**features), LogisticRegression())
    model.fit([review.text for review in train], [review.label for review in train])
    return float(model.score([review.text for review in test], [review.label for review in test]))


def baselines() -> dict[str, float]:
    test = Counter(review.label for review in reviews("test"))
    return {
        "always the same answer": max(test.values()) / test.total(),
        "TF-IDF, single words": baseline(),
        "TF-IDF, words and pairs of words": baseline(ngram_range=(1, 2)),
        "TF-IDF, pieces of 2 to 5 characters": baseline(analyzer="char_wb", ngram_range=(2, 5)),
    }


def figures() -> list[str]:
    """The lines of the datasheet that follow from the files."""
    lines = []
    for split in SPLITS:
        path = reviews_path(split)
        lines.append(f"{path.name}  {hashlib.sha256(path.read_bytes()).hexdigest()}")
        for label in "01":
            n = lengths(split, label)
            size = f"words: {min(n)} to {max(n)}, median {median(n):g}, mean {mean(n):.1f}"
            lines.append(f"  output {label}  {len(n):3} rows  {size}")
    counts = Counter((review.phenomenon, review.label) for review in reviews("test"))
    for phenomenon in PHENOMENA:
        unsatisfied, satisfied = (counts[phenomenon, label] for label in "01")
        lines.append(f"  {phenomenon:12}  {unsatisfied + satisfied:3} test rows  0: {unsatisfied}, 1: {satisfied}")
    lines += [f"similarity by {name}: at most {value:.2f}" for name, value in most_similar().items()]
    phrase, count, share = max(phrases(), key=lambda found: (found[2], found[1]))
    lines.append(f'most telling phrase: "{phrase}", {share:.0%} of {count} rows under one label')
    return lines


@pytest.mark.parametrize("split", SPLITS)
def test_a_file_is_a_json_list_with_a_row_a_line(split: str) -> None:
    raw = reviews_path(split).read_bytes()
    assert b"\r" not in raw
    start, *lines, end, last = raw.decode("utf-8").split("\n")
    assert (start, end, last) == ("[", "]", "")
    rows = json.loads(raw)
    written = [json.dumps(row, ensure_ascii=False) for row in rows]
    assert [line.removesuffix(",") for line in lines] == written
    assert [line.endswith(",") for line in lines] == [True] * (len(lines) - 1) + [False]
    fields = ["input", "output"] + (["phenomenon"] if split == "test" else [])
    assert all(list(row) == fields for row in rows)


@pytest.mark.parametrize("split", SPLITS)
def test_every_input_is_a_review_in_the_same_instruction(split: str) -> None:
    for row in json.loads(reviews_path(split).read_text(encoding="utf-8")):
        assert row["input"].startswith(HEAD)
        assert row["input"].endswith(TAIL)
        review = row["input"][len(HEAD) : -len(TAIL)]
        assert review == " ".join(review.split())
        assert "Comment:" not in review


@pytest.mark.parametrize(("split", "rows"), [("train", 320), ("test", 120)])
def test_labels_are_half_and_half_and_mixed(split: str, rows: int) -> None:
    labels = [review.label for review in reviews(split)]
    assert Counter(labels) == {"0": rows // 2, "1": rows // 2}
    assert max(len(list(run)) for _, run in itertools.groupby(labels)) <= 10


@pytest.mark.parametrize("split", SPLITS)
def test_lengths_tell_nothing_about_the_label(split: str) -> None:
    unsatisfied, satisfied = lengths(split, "0"), lengths(split, "1")
    both = unsatisfied + satisfied
    assert min(both) >= 2
    assert max(both) <= 60
    assert 12 <= median(both) <= 18
    assert abs(median(unsatisfied) - median(satisfied)) <= 2
    assert abs(mean(unsatisfied) - mean(satisfied)) <= 2


def test_a_quarter_of_the_test_is_hard_in_named_ways() -> None:
    counts = Counter((review.phenomenon, review.label) for review in reviews("test"))
    assert {phenomenon for phenomenon, _ in counts} == set(PHENOMENA)
    assert all(counts[phenomenon, label] >= 2 for phenomenon in PHENOMENA for label in "01")
    hard = sum(count for (phenomenon, _), count in counts.items() if phenomenon != "plain")
    assert 0.2 <= hard / counts.total() <= 0.3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "topic",
    [
        r"bath",
        r"nails?",
        r"shed|de-shed\w*",
        r"van",
        r"cats?|kitten",
        r"puppy",
        r"boarding|kennels?",
        r"book\w*",
        r"parking",
        r"staff",
        r"[$£€]\d+|\d+ (dollars|bucks|euros|quid)",
        r"doodle|\w+doodle|poodle|lab|westie|pug|husky|collie|corgi",
    ],
)
def test_the_files_speak_of_the_whole_business(split: str, topic: str) -> None:
    assert any(re.search(rf"(?<!\w)({topic})(?!\w)", review.text.lower()) for review in reviews(split))


@pytest.mark.parametrize("split", SPLITS)
def test_some_reviews_have_emoji(split: str) -> None:
    assert any(re.search("[\u2600-\u27bf\U0001f300-\U0001faff]", review.text) for review in reviews(split))


def test_no_review_repeats_another() -> None:
    similar = most_similar()
    assert all(similar[measure] <= limit for measure, limit in SIMILAR.items()), similar


def test_no_phrase_gives_the_label_away() -> None:
    assert [found for found in phrases() if found[2] > TELLING_SHARE] == []


def test_a_bag_of_words_learns_something_but_not_enough() -> None:
    measured = baselines()
    assert measured.pop("always the same answer") == 0.5
    assert all(0.6 < accuracy < 0.85 for accuracy in measured.values()), measured


def test_the_helpers_find_nothing_to_complain_about() -> None:
    report = check(reviews_path("train"), reviews_path("test"), max_input_tokens=256)
    assert report.ok, str(report)


def test_the_datasheet_gives_the_figures_of_the_files() -> None:
    sheet = DATASHEET.read_text(encoding="utf-8")
    assert [line for line in figures() if line not in sheet] == []
    for name, accuracy in baselines().items():
        stated = re.search(rf"^{re.escape(name)}: ([\d.]+)$", sheet, re.MULTILINE)
        assert stated, name
        # another version of scikit-learn may decide a row or two otherwise
        assert float(stated[1]) == pytest.approx(accuracy, abs=0.02)


if __name__ == "__main__":
    print(*figures(), *(f"{name}: {accuracy:.3f}" for name, accuracy in baselines().items()), sep="\n")
