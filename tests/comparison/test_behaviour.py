"""What the code computes in small: the stored results are of this code, and another computation is noticed."""

from pathlib import Path

import pytest

from comparison import training
from comparison.behaviour import Behaviour, behaviour_of, is_same
from comparison.methods import METHODS
from comparison.plan import FULL
from comparison.store import Store
from prompt_tuning_helpers.engine.tune import learning_rate_factor

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[2] / "notebooks" / "comparison" / "results.jsonl"
TRAINED_HERE = ("prefix-20", "lora-8", "full")  # prompt tuning is the engine's


@pytest.fixture(scope="module")
def now() -> dict[str, Behaviour]:
    return {method.name: behaviour_of(method) for method in METHODS}


def test_the_stored_results_were_made_by_code_that_computes_the_same(now: dict[str, Behaviour]) -> None:
    stored = Store.read(RESULTS, FULL).behaviour
    changed = [method.title for method in METHODS if not is_same(stored.get(method.name), now[method.name])]
    assert not changed, f"These results were made by code that computes something else; run `make compare`: {changed}"


@pytest.mark.parametrize("name", TRAINED_HERE)
def test_code_that_computes_something_else_is_noticed(
    name: str, now: dict[str, Behaviour], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_same(now[name], behaviour_of(FULL.method(name)))
    monkeypatch.setattr(training, "learning_rate_factor", lambda *step: 1.01 * learning_rate_factor(*step))
    assert not is_same(now[name], behaviour_of(FULL.method(name)))


def test_each_method_has_its_own_behaviour(now: dict[str, Behaviour]) -> None:
    assert [name for name, behaviour in now.items() if "losses" not in behaviour] == [
        method.name for method in METHODS if method.searched_as
    ]
    assert [name for name, behaviour in now.items() if "moved" in behaviour] == [FULL.opened]
    margins = [tuple(behaviour["margins"]) for behaviour in now.values()]
    # What is searched as another differs in what it is judged by alone.
    assert len(set(margins)) == len(METHODS) - sum(method.judged_by_writing for method in METHODS)


def test_numbers_are_the_same_up_to_what_another_processor_changes() -> None:
    one = {"losses": [1.5, 0.001], "margins": [-20.0]}
    assert is_same(one, {"losses": [1.50001, 0.00102], "margins": [-20.001]})
    assert not is_same(one, {"losses": [1.5, 0.001], "margins": [-20.01]})
    assert not is_same(one, {"losses": [1.5], "margins": [-20.0]})
    assert not is_same(one, {"losses": [1.5, 0.001]})
    assert not is_same(None, one)
