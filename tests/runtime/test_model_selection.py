"""Which models a command line asks for, and the filters of their list."""

import pytest

from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.model_selection import select_models
from prompt_tuning_helpers.runtime.routes.filters import matches

SPEC = {
    "model_id": "a/b",
    "provider": "p",
    "input_tier": "class_1",
    "functions": [{"id": "text_generation"}],
    "lifecycle": [{"id": "available"}],
}


def test_the_default_model() -> None:
    assert select_models().models == {"HuggingFaceTB/SmolLM2-135M-Instruct": "smollm2"}


def test_aliases_by_id_and_by_source() -> None:
    selection = select_models(["tiny"], ["x/one=tiny", "x/two=local/tiny-random-llama"])
    assert selection.models == {"local/tiny-random-llama": "tiny", "x/one": "tiny", "x/two": "tiny"}
    assert selection.aliases == {"x/one", "x/two"}


@pytest.mark.parametrize("alias", ["x", "=tiny", "x=", "local/tiny-random-llama=smollm2"])
def test_wrong_aliases(alias: str) -> None:
    with pytest.raises(ValueError, match=r"alias|Two models"):
        select_models(["tiny"], [alias])


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (None, True),
        ("function_text_generation", True),
        ("!function_text_generation", False),
        ("function_text_generation,!lifecycle_withdrawn:and", True),
        ("function_prompt_tune_trainable,!lifecycle_withdrawn:and", False),
        ("function_prompt_tune_trainable,!lifecycle_withdrawn:or", True),
        ("function_prompt_tune_trainable,!lifecycle_withdrawn", True),
        ("modelid_a/b,provider_p:and", True),
        ("tier_class_1", True),
        ("output_tier_class_1", False),
    ],
)
def test_filters(filters: str | None, passes: bool) -> None:
    assert matches(SPEC, filters) is passes


@pytest.mark.parametrize("filters", ["", "nothing", "function_", "function_text_generation,", "a:and:or"])
def test_filters_that_are_none(filters: str) -> None:
    with pytest.raises(ApiError, match="a term is one of"):
        matches(SPEC, filters)
