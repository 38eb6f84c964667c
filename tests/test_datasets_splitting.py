"""Splitting rows into those to train on, to choose by, and to test with."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_tuning_helpers.datasets import DatasetError, split_rows


def frame_of(labels: str) -> pd.DataFrame:
    return pd.DataFrame({"input": [f"text {place}" for place in range(len(labels))], "output": list(labels)})


def test_each_output_has_its_share_in_each_part() -> None:
    parts = split_rows(frame_of("a" * 100 + "b" * 20 + "c" * 4), validation=0.15, test=0.25)
    assert [Counter(part["output"]) for part in parts] == [
        {"a": 60, "b": 12, "c": 2},
        {"a": 15, "b": 3, "c": 1},
        {"a": 25, "b": 5, "c": 1},
    ]
    assert [list(part.index) for part in parts] == [list(range(len(part))) for part in parts]


def test_the_seed_decides_which_rows_go_where() -> None:
    rows = frame_of("ab" * 30)
    one, same, other = (split_rows(rows, seed=seed)[2]["input"].tolist() for seed in (3, 3, 4))
    assert one == same
    assert set(one) != set(other)


@given(labels=st.text("abc", min_size=9, max_size=60), shares=st.tuples(*[st.floats(0.01, 0.45)] * 2))
def test_every_row_is_in_one_part_and_every_output_in_all(labels: str, shares: tuple[float, float]) -> None:
    rows = frame_of("aaabbbccc" + labels)
    parts = split_rows(rows, validation=shares[0], test=shares[1])
    assert sorted(text for part in parts for text in part["input"]) == sorted(rows["input"])
    assert all(set(part["output"]) == set("abc") for part in parts)


def test_rows_with_the_same_text_stay_together() -> None:
    rows = frame_of("ab" * 20)
    copies = rows.assign(input=[text.upper() + "!" for text in rows["input"]])
    parts = split_rows(pd.concat([rows, copies], ignore_index=True))
    texts = [{text.strip("!").lower() for text in part["input"]} for part in parts]
    assert [len(part) for part in parts] == [2 * len(each) for each in texts]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


def test_rows_that_cannot_be_split_are_refused() -> None:
    with pytest.raises(DatasetError, match='every row has the output "a"'):
        split_rows(frame_of("aaaa"))
    with pytest.raises(DatasetError, match=r'at least 3 different rows; these have fewer: "b" \(2\), "c" \(1\)'):
        split_rows(frame_of("aaabbc"))
    same = pd.DataFrame({"input": ["x", "X", "x!", "a", "b", "c"], "output": list("aaabbb")})
    with pytest.raises(DatasetError, match=r'these have fewer: "a" \(1\)'):
        split_rows(same)
    with pytest.raises(DatasetError, match="there are no rows"):
        split_rows(frame_of(""))


@pytest.mark.parametrize("shares", [(0, 0.2), (0.2, 0), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)])
def test_shares_that_leave_nothing_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="leave at least a tenth"):
        split_rows(frame_of("aaabbb"), validation=shares[0], test=shares[1])
