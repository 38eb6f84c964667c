"""Keeps the state folder of a runtime of an older version as test data, with all that one may hold.

``python -m tests.support.old_state CHECKOUT NAME`` runs the runtime of another checkout, such as a worktree of the last
commit before the tables changed, on the tiny model. It tunes, deploys, kills the runtime in the middle of a second
training, and writes ``tests/runtime/old_states/NAME.tar.gz`` and, beside it, what clients had seen: ``NAME.json``.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import httpx

from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint
from prompt_tuning_helpers.runtime.jobs.folder import end_recorded_processes
from prompt_tuning_helpers.runtime.store.state import State, read_secrets
from tests.support.calls import ROWS, training_body, upload, wait_for_training
from tests.support.servers import connect, wait_until
from tests.support.service import TINY

FOLDER = Path(__file__).parents[1] / "runtime" / "old_states"
LONG = 400  # epochs, to be killed in
MADE_ANEW = ("ca-bundle.pem", "endpoint.json", "runtime.db-shm", "runtime.lock", "runtime.log", "users.lock")


def make(checkout: Path, name: str) -> None:
    """Write the two files."""
    with tempfile.TemporaryDirectory() as workspace:
        root = Path(workspace) / "state"
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve", "--model", "tiny"]
        process = subprocess.Popen([*command, "--state", str(root)], cwd=checkout, env=environment)
        try:
            wait_until(lambda: running_endpoint(root) is not None or process.poll() is not None, 120)
            endpoint = running_endpoint(root)
            assert endpoint is not None
            with connect(endpoint) as client:
                client.timeout = httpx.Timeout(300)  # the first training waits for PyTorch
                seen = fill(client, endpoint, root)
        finally:
            process.kill()
            process.wait()
        end_recorded_processes(root / "jobs")
        seen["api_key"] = read_secrets(State(root)).api_key
        with tarfile.open(FOLDER / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(root, "state", filter=without_what_is_made_anew)
    (FOLDER / f"{name}.json").write_text(json.dumps(seen, indent=2) + "\n", encoding="utf-8")


def without_what_is_made_anew(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what each start makes again, for the size, and whose files they were."""
    if Path(member.name).name in MADE_ANEW:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def fill(client: httpx.Client, endpoint: Endpoint, root: Path) -> dict[str, Any]:
    """Make one of everything; gives what a client sees of it."""
    project = {"project_id": endpoint.project_id}
    asset = upload(client, project, json.dumps(ROWS).encode(), "rows.json")
    tuning = {"base_model": {"model_id": TINY}, "verbalizer": "Say {{input}}:", "num_virtual_tokens": 4}
    body = training_body(project, asset, **tuning, num_epochs=3)
    training = client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"]
    done = wait_for_training(client, project, training, "completed", "failed", seconds=120)
    body = {"name": "Deployed", "online": {"parameters": {"serving_name": "old_name"}}, **project}
    body["asset"] = {"id": done["entity"]["model_id"]}
    deployment = client.post("/ml/v4/deployments", params=project, json=body).json()["metadata"]["id"]
    long = training_body(project, asset, **tuning, num_epochs=LONG)
    interrupted = client.post("/ml/v4/trainings", json=long).json()["metadata"]["id"]
    wait_until((root / "jobs" / interrupted / "checkpoint.safetensors").exists, 120)
    return {
        **project,
        "asset": asset,
        "training": done,
        "deployment": client.get(f"/ml/v4/deployments/{deployment}", params=project).json(),
        "interrupted": interrupted,
    }


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute(), sys.argv[2])
