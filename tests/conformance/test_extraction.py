"""A task whose outputs are texts: tuned as an extraction, deployed, and scored as such."""

import json
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import TextComparison, TextScores, compare, deployed, evaluate
from tests.support.lesson import make_tuner
from tests.support.service import NAME

pytestmark = pytest.mark.watsonx

ROWS = [
    {"input": f"Our {breed} came for a {service}.", "output": f"breed: {breed}; service: {service}"}
    for breed in ("pug", "husky", "beagle")
    for service in ("bath", "nail trim", "full groom")
]
OUTPUT_TOKENS = 100


def test_an_extraction_is_tuned_deployed_and_scored(
    client: Any, experiment: Any, base_model: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROWS))
    asset_id = client.data_assets.get_id(client.data_assets.create(name=NAME, file_path=str(file)))
    task = experiment.Tasks.EXTRACTION
    tuner = make_tuner(
        experiment,
        base_model,
        task_id=task,
        num_epochs=1,
        max_output_tokens=OUTPUT_TOKENS,
        init_text="Name breed and service.",
        verbalizer="{{input}}\n",
    )
    details = tuner.run([DataConnection(data_asset_id=asset_id)], background_mode=False)
    assert details["entity"]["prompt_tuning"]["task_id"] == "extraction"
    prompts, truth = [row["input"] for row in ROWS], [row["output"] for row in ROWS]
    params = {"max_new_tokens": OUTPUT_TOKENS}
    with deployed(client, tuner.get_model_id(), name=NAME) as deployment_id:
        tuned = ModelInference(deployment_id=deployment_id, api_client=client, params=params)
        tuned_answers: Any = tuned.generate_text(prompt=prompts)
    base = ModelInference(model_id=base_model, api_client=client, params=params)
    base_answers: Any = base.generate_text(prompt=prompts)

    comparison = compare(truth, tuned_answers, base_answers, task_id=task)
    assert isinstance(comparison, TextComparison)
    assert comparison.tuned == evaluate(truth, tuned_answers, task_id=task)
    assert isinstance(comparison.tuned, TextScores)
    assert comparison.tuned.n == len(ROWS)
    assert evaluate(truth, truth, task_id=task).measures[0].value == 1.0
    assert "permutation test" in comparison.verdict
