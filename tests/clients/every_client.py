"""``make test-clients``: programs that use the runtime through other clients, each in an environment of its own.

It is no part of the default run, because it installs the clients, under ``build/clients``.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint, command_line
from tests.support.calls import ROWS, training_body, upload, wait_for_training
from tests.support.environment import REPOSITORY, placeless
from tests.support.servers import connect, serve_command, start_runtime
from tests.support.service import TINY

HERE = Path(__file__).parent
ENVIRONMENTS = REPOSITORY / "build" / "clients"
STOP = "Stop the runtime, please."


@dataclass(frozen=True)
class Served:
    """A runtime of a test's own, with a deployment of a tuned model.

    Args:
        state: its folder.
        process: which a test may end.
        ids: the deployment and the data of its training, as variables for the programs.
    """

    state: Path
    process: "subprocess.Popen[bytes]"
    ids: dict[str, str]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    state = tmp_path / "state"
    # The alias is for litellm, which makes prompts for text generation by the model's name, and knows few.
    command = serve_command(state, "--model", "tiny", "--alias", "ibm/granite-chat=tiny")
    process, endpoint = start_runtime(state, command)
    try:
        yield Served(state, process, tune_and_deploy(endpoint))
    finally:
        process.terminate()
        process.wait(30)


def tune_and_deploy(endpoint: Endpoint) -> dict[str, str]:
    """Give a runtime a data asset and a deployment of a model that was tuned on it."""
    project = {"project_id": endpoint.project_id}
    with connect(endpoint) as client:
        asset = upload(client, project, json.dumps(ROWS).encode())
        body = training_body(project, asset, base_model={"model_id": TINY}, num_epochs=1)
        training = client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"]
        tuned = wait_for_training(client, project, training, seconds=120)["entity"]
        assert tuned["status"]["state"] == "completed", tuned["status"]
        online = {"parameters": {"serving_name": "tuned"}}
        body = {"name": "tuned", "asset": {"id": tuned["model_id"]}, "online": online, **project}
        deployment = client.post("/ml/v4/deployments", json=body).json()["metadata"]["id"]
    return {"TEST_DATA_ASSET_ID": asset, "TEST_DEPLOYMENT_ID": deployment}


def look_for(*programs: str) -> None:
    """Skip the test where a program is missing."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"This client needs {' and '.join(missing)} on the PATH.")


def install_once(folder: Path, pins: Path, install: Callable[[], object]) -> None:
    """Install what a file pins, unless that is what was installed last."""
    ready = folder / ".ready"
    if not ready.exists() or ready.read_text() != pins.read_text():
        install()
        ready.write_text(pins.read_text())


def python_program(name: str, below: tuple[int, int] = (4, 0)) -> list[str | Path]:
    """Install a client for Python; gives the command of its program.

    Args:
        name: of its folder here.
        below: the first version of Python that the client does not support.
    """
    if sys.version_info >= below:
        pytest.skip(f"This client needs a Python below {below[0]}.{below[1]}.")
    folder, pins = ENVIRONMENTS / name, HERE / name / "requirements.txt"
    python = folder / "bin" / "python"

    def install() -> None:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", pins], check=True)

    install_once(folder, pins, install)
    return [python, "-m", f"tests.clients.{name}.program"]


def node_program() -> list[str | Path]:
    """Install the client for Node beside a copy of its program, which looks for it there."""
    look_for("node", "npm")
    folder = ENVIRONMENTS / "node"
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
    npm = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    install_once(folder, folder / "package-lock.json", lambda: subprocess.run(npm, cwd=folder, check=True))
    return ["node", folder / "program.mjs"]


def curl_program() -> list[str | Path]:
    """There is nothing to install for curl."""
    look_for("bash", "curl", "jq")
    return ["bash", HERE / "curl" / "program.sh"]


PROGRAMS: dict[str, Callable[[], list[str | Path]]] = {
    "langchain": lambda: python_program("langchain"),
    "llama_index": lambda: python_program("llama_index", below=(3, 14)),
    "litellm": lambda: python_program("litellm"),
    "node": node_program,
    "curl": curl_program,
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PROGRAMS)
def test_all_that_a_client_offers(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    program = PROGRAMS[name]()
    # Not before it is known that the client is there.
    served: Served = request.getfixturevalue("served")
    environment = {
        **placeless(),
        **served.ids,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(REPOSITORY),
        "NO_PROXY": "127.0.0.1",
    }
    # A shell is set up as the runtime says when it starts.
    set_up = f'eval "$({command_line("env", served.state)})" && exec "$@"'
    running = subprocess.Popen(
        ["sh", "-c", set_up, "sh", *program],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdin
    assert running.stdout
    said = []
    for line in running.stdout:
        said.append(line)
        if line.strip() == STOP:
            served.process.terminate()
            assert served.process.wait(30) == 0
            running.stdin.write("\n")
            running.stdin.flush()
    assert running.wait() == 0, "".join(said)
    assert served.process.poll() is not None, "the program has not tried what happens once the runtime has stopped"
