"""Which base model is chosen among those that the service can tune."""

from unittest import mock

import pytest

from prompt_tuning_helpers import NoTunableModelError, choose_base_model

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LARGE = "ibm/granite-3-8b-instruct"


def client_offering(*models: str) -> mock.Mock:
    client = mock.Mock()
    client.foundation_models.get_model_specs_with_prompt_tuning_support.return_value = {
        "resources": [{"model_id": model} for model in models]
    }
    return client


def test_a_model_with_known_settings_is_preferred() -> None:
    assert choose_base_model(client_offering("google/flan-t5-xl", LARGE)) == LARGE
    assert choose_base_model(client_offering(LARGE, SMALL)) == SMALL
    assert choose_base_model(client_offering("unknown/model")) == "unknown/model"


def test_the_model_asked_for_is_taken_if_it_is_offered() -> None:
    client = client_offering(SMALL, LARGE)
    assert choose_base_model(client, LARGE) == LARGE
    with pytest.raises(NoTunableModelError, match=SMALL):
        choose_base_model(client, "no/such-model")


def test_a_service_without_prompt_tuning_is_explained() -> None:
    with pytest.raises(NoTunableModelError, match="10 September 2026"):
        choose_base_model(client_offering())
