"""What the runtime answers when the files of a model are damaged, with the real engine."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import Engine, sources
from prompt_tuning_helpers.runtime.context import Runtime, open_runtime
from prompt_tuning_helpers.runtime.store.state import State
from tests.support.calls import BASE, events
from tests.support.fake_engine import fake_tune_command
from tests.support.servers import run_cli

MINE = "local/mine"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny model in a folder of the user's own."""
    return Path(shutil.copytree(sources.fetch("tiny"), tmp_path / "mine"))


@pytest.fixture
def runtime(tmp_path: Path, folder: Path) -> Iterator[Runtime]:
    """A runtime with the real engine; its tuning jobs leave soft prompts without weights."""
    engine = Engine({BASE: "tiny", MINE: str(folder)})
    opened = open_runtime(State(tmp_path / "state"), engine, fake_tune_command)
    opened.url = "https://127.0.0.1"
    opened.jobs.start()
    yield opened
    opened.close()


def test_a_damaged_soft_prompt_is_a_409(
    client: TestClient, project: dict[str, str], deploy: Callable[..., str], model: str
) -> None:
    deployment = deploy()
    for _ in range(2):
        answer = client.post(f"/ml/v1/deployments/{deployment}/text/generation", json={"input": "a"})
        assert answer.status_code == 409
        error = answer.json()["errors"][0]
        assert error["code"] == "model_not_usable"
        assert f"The tuned model {model} has no usable soft prompt" in error["message"]
    streamed = client.post(f"/ml/v1/deployments/{deployment}/text/generation_stream", json={"input": "a"})
    assert model in events(streamed.text)[0]["errors"][0]["message"]
    body = {"model_id": BASE, "input": "a", **project}
    assert client.post("/ml/v1/text/generation", json=body).status_code == 200


def test_a_damaged_base_model_is_a_409(
    client: TestClient, project: dict[str, str], runtime: Runtime, folder: Path
) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    runtime.engine.warm_up()
    for path in ("generation", "chat"):
        body = {"model_id": MINE, "input": "a", "messages": [{"role": "user", "content": "a"}], **project}
        answer = client.post(f"/ml/v1/text/{path}", json=body)
        assert answer.status_code == 409
        assert str(folder) in answer.text
    body = {"model_id": BASE, "input": "a", **project}
    assert client.post("/ml/v1/text/generation", json=body).status_code == 200


@pytest.mark.slow
def test_serve_says_what_is_wrong_with_a_folder(tmp_path: Path, folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": "16"}))
    answer = run_cli(tmp_path / "state", "serve", "--model", str(folder))
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert str(folder) in line
    assert "hidden_size" in line
