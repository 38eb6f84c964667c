"""The search for settings through the SDK, on the local runtime's tiny model."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from prompt_tuning_helpers import NoTunableModelError, SearchError, SettingsSearch, search_settings, settings_for
from prompt_tuning_helpers.engine.search_plan import rates_for

ROWS = [
    {"input": f"Comment: {word} {place}\nLabel: ", "output": label}
    for place in range(16)
    for word, label in (("good", "1"), ("bad", "0"))
]
TOO_HIGH = 1000.0  # the runtime refuses it
TINY_RMS = 0.402


def things_of(client: Any) -> list[set[str]]:
    """Ids of all that the project holds, uploaded files and the assets of experiments included."""
    lists: list[Callable[..., Any]] = [
        client.deployments.get_details,
        client.repository.get_model_details,
        client.training.get_details,
        client.data_assets.get_details,
    ]
    found = [get_details(get_all=True)["resources"] for get_details in lists]
    answer = client.httpx_client.post(
        f"{client.credentials.url}/v2/asset_types/wx_prompt_tune/search",
        params={"project_id": client.default_project_id},
        headers=client.get_headers(),
        json={"query": "*:*"},
    )
    found.append(answer.json()["results"])
    return [{item["metadata"].get("asset_id") or item["metadata"]["id"] for item in items} for items in found]


@pytest.fixture(scope="module")
def search(client: Any, base_model: str) -> tuple[SettingsSearch, list[set[str]], list[set[str]]]:
    """A search over a template that can be tuned with and one that cannot, and what was there before and after it."""
    before = things_of(client)
    templates = ["Without a field", "Say 0 or 1. {{input}}"]
    found = search_settings(client, base_model, ROWS, rates=[0.06], templates=templates, every=0.2)
    return found, before, things_of(client)


def test_the_best_settings_are_those_of_the_best_run(search: Any) -> None:
    found, _, _ = search
    assert found.best is found.trials[1]
    assert found.settings.learning_rate == found.best.learning_rate == 0.06
    assert found.settings.verbalizer == "Say 0 or 1. {{input}}"
    assert found.settings.init_text.startswith("Comment: "), "by default, the shortest rows"
    assert found.settings.num_epochs == 30, "120 updates of 8 of 32 rows"
    assert found.best.num_virtual_tokens == 50, "what the runtime says it took"
    assert 0 <= found.best.interval[0] <= found.best.score <= found.best.interval[1] <= 1
    assert found.best.final_loss > 0


def test_a_run_that_fails_counts_as_such(search: Any) -> None:
    found, _, _ = search
    failed, done = found.trials
    assert failed.failure.startswith("prompt_tuning.verbalizer must contain {{input}}")
    assert done.failure is None
    assert found.table["start"].tolist() == [1, 2]


def test_nothing_is_left_on_the_service(search: Any) -> None:
    _, before, after = search
    assert after == before


def test_ctrl_c_gives_what_was_found_and_leaves_nothing(
    client: Any, base_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = things_of(client)
    scored = 0

    def score(truth: Sequence[str], answers: Sequence[str]) -> float:
        nonlocal scored
        scored += 1
        if scored == 2:  # after the guess that scores are compared with, the first run
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        return 0.25 * scored

    own = replace(settings_for(base_model, 320), verbalizer="{{input}}")
    found = search_settings(
        client, base_model, ROWS, rates=[0.06, 0.2], settings=own, held_back=ROWS[:4], score=score, every=0.2
    )
    assert found.ended_early == "it was interrupted."
    assert [trial.score for trial in found.trials] == [0.5]
    assert found.held_back == 4
    assert found.settings == replace(own, learning_rate=0.06), "what is not searched stays as it was given"
    assert "ended early" in str(found)
    assert things_of(client) == before
    shown = capsys.readouterr().out
    assert "2 short tuning runs" in shown
    assert "Run 1 of 2: learning rate 0.06, score 0.500" in shown
    assert "charged" not in shown, "this service is the user's own computer"
    assert "at most about 1 min" in shown
    assert "Creating data asset" not in shown


def test_when_every_run_fails_the_first_reason_is_told(client: Any, base_model: str) -> None:
    before = things_of(client)
    with pytest.raises(SearchError, match=r"All runs of the search failed\. The first: prompt_tuning\.learning_rate"):
        search_settings(client, base_model, ROWS, rates=[TOO_HIGH])
    assert things_of(client) == before


def test_a_model_that_cannot_be_tuned_is_refused(client: Any) -> None:
    with pytest.raises(NoTunableModelError, match="cannot prompt-tune 'nobody/knows'"):
        search_settings(client, "nobody/knows", ROWS)


def test_the_default_rates_are_in_proportion_to_the_embeddings(client: Any, base_model: str) -> None:
    spec = next(
        spec
        for spec in client.foundation_models.get_model_specs_with_prompt_tuning_support()["resources"]
        if spec["model_id"] == base_model
    )
    assert spec["local_runtime"]["embedding_rms"] == pytest.approx(TINY_RMS, abs=1e-3)
    assert rates_for(TINY_RMS) == (0.006, 0.02, 0.06, 0.2)
