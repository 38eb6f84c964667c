"""What the code computes in small: the stored results are of this code, and another computation is noticed."""

from pathlib import Path

import pytest

from comparison import training
from comparison.behaviour import behaviour_of, is_same
from comparison.plan import FULL
from comparison.store import Store
from prompt_tuning_helpers.engine.tune import learning_rate_factor

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[2] / "notebooks" / "comparison" / "results.jsonl"


def test_the_stored_results_were_made_by_code_that_computes_the_same() -> None:
    stored = Store.read(RESULTS, FULL).behaviour
    now = behaviour_of(FULL.methods)
    changed = [method.title for method in FULL.methods if not is_same(stored.get(method.name), now[method.name])]
    assert not changed, f"These results were made by code that computes something else; run `make compare`: {changed}"


def test_code_that_computes_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Store.read(RESULTS, FULL).behaviour
    monkeypatch.setattr(training, "learning_rate_factor", lambda *step: 1.01 * learning_rate_factor(*step))
    for method in (FULL.method("prefix-20"), FULL.method("lora-8"), FULL.method("full")):
        assert not is_same(stored[method.name], behaviour_of((method,))[method.name])


def test_numbers_are_the_same_up_to_what_another_processor_changes() -> None:
    one = {"losses": [1.5, 0.001], "margins": [-20.0]}
    assert is_same(one, {"losses": [1.50001, 0.00102], "margins": [-20.001]})
    assert not is_same(one, {"losses": [1.5, 0.001], "margins": [-20.01]})
    assert not is_same(one, {"losses": [1.5], "margins": [-20.0]})
    assert not is_same(one, {"losses": [1.5, 0.001]})
    assert not is_same(None, one)
