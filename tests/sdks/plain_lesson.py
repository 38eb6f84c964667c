"""The lesson's SDK calls as a plain script, for an environment that has nothing but some version of the SDK.

``WATSONX_URL``, ``WATSONX_APIKEY``, ``WATSONX_PROJECT_ID`` and ``SSL_CERT_FILE`` say where the runtime is.
"""

import inspect
import json
import os
import ssl
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection

BASE_MODEL = "local/tiny-random-llama"
ROWS = [{"input": f"The groomer was {word}.", "output": digit} for word, digit in [("kind", "1"), ("late", "0")] * 6]
PROMPTS = [row["input"] for row in ROWS]


def make_credentials() -> Any:
    """Credentials with the API key; SDKs that cannot be told where to exchange it get a token."""
    url, key = os.environ["WATSONX_URL"], os.environ["WATSONX_APIKEY"]
    values: dict[str, Any] = {"url": url, "platform_url": url, "verify": os.environ["SSL_CERT_FILE"]}
    if "auth_url" in inspect.signature(Credentials).parameters:
        return Credentials(**values, api_key=key, auth_url=f"{url}/identity/token")
    return Credentials(**values, token=fetch_token(url, key))


def fetch_token(url: str, key: str) -> str:
    """Exchange the API key for a token."""
    form = {"apikey": key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
    request = urllib.request.Request(f"{url}/identity/token", urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as answer:
        return str(json.load(answer)["access_token"])


def wait_for_end(tuner: Any) -> None:
    """Wait until a run is over."""
    while tuner.get_run_status() in ("queued", "pending", "running"):
        time.sleep(0.5)


def follow_lesson(client: Any, experiment: Any, made: dict[str, str]) -> None:
    """Make every call of the lesson.

    Args:
        client: with its project set.
        experiment: of the same project.
        made: takes the id of each thing that is made, as soon as it is.
    """
    client.foundation_models.PromptTunableModels.show()
    offered = client.foundation_models.get_model_specs_with_prompt_tuning_support()["resources"]
    assert BASE_MODEL in [spec["model_id"] for spec in offered]
    base = ModelInference(model_id=BASE_MODEL, api_client=client, params={"max_new_tokens": 10})
    assert base.tokenize(PROMPTS[0])["result"]["token_count"] > 0

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps(ROWS))
        asset = client.data_assets.create(name="plain lesson.json", file_path=str(path))
    made["asset"] = client.data_assets.get_id(asset)

    tuner = experiment.prompt_tuner(
        name="plain lesson",
        task_id=experiment.Tasks.CLASSIFICATION,
        base_model=BASE_MODEL,
        accumulate_steps=2,
        batch_size=4,
        learning_rate=0.01,
        max_input_tokens=128,
        max_output_tokens=2,
        num_epochs=3,
        tuning_type=experiment.PromptTuningTypes.PT,
        init_text="Is the customer satisfied?",
        init_method="text",
        verbalizer="classify {0, 1} {{input}}",
        auto_update_model=True,
    )
    tuner.run(training_data_references=[DataConnection(data_asset_id=made["asset"])], background_mode=True)
    made["training"] = tuner.id
    wait_for_end(tuner)
    assert tuner.get_run_status() == "completed", tuner.get_run_details()
    assert len(client.training.get_details(tuner.id)["entity"]["status"]["metrics"]) >= 6
    assert tuner.summary()["loss"].iloc[0] > 0
    assert tuner.id in set(experiment.runs.list()["run_id"])
    assert experiment.runs.get_tuner(tuner.id).get_run_status() == "completed"

    made["model"] = tuner.get_model_id()
    assert made["model"] in set(client.repository.list_models()["ID"])
    names = client.deployments.ConfigurationMetaNames
    properties = {names.NAME: "plain lesson", names.ONLINE: {}, names.SERVING_NAME: f"plain_{time.time_ns()}"}
    deployment = client.deployments.create(artifact_id=made["model"], meta_props=properties)
    made["deployment"] = client.deployments.get_id(deployment)
    assert made["deployment"] in set(client.deployments.list()["ID"])

    tuned = ModelInference(deployment_id=made["deployment"], api_client=client, params={"max_new_tokens": 10})
    for model in (tuned, base):
        answers = model.generate_text(prompt=PROMPTS, concurrency_limit=2)
        assert answers[0] == "".join(model.generate_text_stream(prompt=PROMPTS[0]))
        assert len(answers) == len(PROMPTS)


def clean_up(client: Any, made: dict[str, str]) -> None:
    """Delete what was made, in the order in which the service allows it."""
    steps = {
        "deployment": client.deployments.delete,
        "model": client.repository.delete,
        "training": lambda name: client.training.cancel(name, hard_delete=True),
        "asset": client.data_assets.delete,
    }
    for kind, delete in steps.items():
        if kind in made:
            delete(made[kind])


def main() -> None:
    """Follow the lesson, clean up, and say on which version that was."""
    made: dict[str, str] = {}
    credentials, project_id = make_credentials(), os.environ["WATSONX_PROJECT_ID"]
    client = APIClient(credentials)
    assert client.set.default_project(project_id) == "SUCCESS"
    try:
        follow_lesson(client, TuneExperiment(credentials, project_id=project_id), made)
    finally:
        clean_up(client, made)
    python = ".".join(map(str, sys.version_info[:2]))
    print(f"The whole lesson ran with ibm-watsonx-ai {version('ibm-watsonx-ai')} on Python {python}.")


if __name__ == "__main__":
    main()
