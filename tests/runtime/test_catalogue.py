"""What clients are told of the base models that are served."""

import shutil
from pathlib import Path

import pytest

from prompt_tuning_helpers.engine import Engine, sources
from prompt_tuning_helpers.runtime.catalogue import describe
from prompt_tuning_helpers.runtime.routes.foundation_models import model_spec


@pytest.mark.parametrize(
    ("source", "name", "provider", "description"),
    [
        (
            "smollm2",
            "SmolLM2-135M-Instruct",
            "Hugging Face",
            "A small instruction-tuned language model that runs on a CPU.",
        ),
        (
            "tiny",
            "tiny random Llama",
            "local",
            "A few thousand random weights for tests. It has learnt nothing.",
        ),
    ],
)
def test_our_own_models(source: str, name: str, provider: str, description: str) -> None:
    (card,) = Engine({"x/one": source}).list_base_models()
    served = describe(card, ["x/one"])
    assert (served.name, served.provider, served.description) == (name, provider, description)
    assert served.is_alias
    assert not describe(card, ["x/two"]).is_alias
    assert served.source == source
    assert served.defaults == card.defaults


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sources.fetch("tiny"), tmp_path / "mine"))
    (card,) = Engine({"local/mine": str(folder)}).list_base_models()
    served = describe(card, [])
    assert (served.name, served.provider) == ("local/mine", "local")
    assert served.description == "A causal language model of type llama, served on this machine."
    assert served.max_sequence_length == 2048
    assert model_spec(served)["local_runtime"] == {"embedding_rms": pytest.approx(0.402, abs=1e-3)}
