"""State folders that runtimes of older versions wrote are taken over whole; one of a newer version is left as it is.

``tests/support/old_state.py`` made these folders: each has a training with its deployed model, and one that was killed.
"""

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import Engine, tune_command
from prompt_tuning_helpers.runtime.certificates import make_certificates
from prompt_tuning_helpers.runtime.context import open_runtime
from prompt_tuning_helpers.runtime.store.database import VERSION, version_of
from prompt_tuning_helpers.runtime.store.state import State, read_secrets
from prompt_tuning_helpers.runtime.store.state_marker import claim
from prompt_tuning_helpers.runtime.strays import move_strays_to_trash
from tests.support.calls import ROWS, open_client, wait_for_training
from tests.support.old_state import FOLDER
from tests.support.servers import run_cli
from tests.support.service import TINY
from tests.support.state_folders import everything_in, execute

pytestmark = pytest.mark.slow

# Of which the checkpoints are still understood; a run of an older version starts anew, and says so.
RESUMED = ("marked",)
STATES = sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.glob("*.tar.gz"))


@pytest.fixture(params=STATES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of an older version's folder."""
    return str(request.param)


@pytest.fixture
def old(name: str, tmp_path: Path) -> State:
    """The folder, as its runtime left it when it was killed."""
    with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return State(tmp_path / "state")


@pytest.fixture
def seen(name: str) -> Any:
    """What clients of the older runtime had seen."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@contextmanager
def opened(state: State) -> Iterator[TestClient]:
    """A client of a runtime of this version on the folder, opened as a server does."""
    claim(state)
    make_certificates(state)
    with closing(open_runtime(state, Engine({TINY: "tiny"}), tune_command)) as runtime:
        move_strays_to_trash(runtime)
        runtime.url = "https://127.0.0.1"
        runtime.jobs.start()
        yield open_client(runtime)


def test_there_is_a_folder_of_each_older_version(tmp_path: Path) -> None:
    versions = []
    for name in STATES:
        with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path / name, filter="data")
        versions.append(version_of(tmp_path / name / "state" / "runtime.db"))
    assert set(range(1, VERSION)) <= set(versions)


def test_all_of_it_is_there(old: State, seen: Any) -> None:
    project = {"project_id": seen["project_id"]}
    with opened(old) as client:
        assert version_of(old.database) == VERSION
        training = client.get(f"/ml/v4/trainings/{seen['training']['metadata']['id']}", params=project).json()
        deployment = client.get(f"/ml/v4/deployments/{seen['deployment']['metadata']['id']}", params=project).json()
        for now, then in ((training, seen["training"]), (deployment, seen["deployment"])):
            assert_holds(now, then)
        attachment = client.get(f"/v2/assets/{seen['asset']}", params=project).json()["attachments"][0]["id"]
        link = client.get(f"/v2/assets/{seen['asset']}/attachments/{attachment}", params=project).json()["url"]
        assert client.get(link).json() == ROWS
        answer = client.post("/ml/v1/deployments/old_name/text/generation", json={"input": "Hello"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][0]["generated_token_count"] > 0
        assert not old.trash.exists()
    assert read_secrets(old).api_key == seen["api_key"]


def assert_holds(now: Any, then: Any) -> None:
    """All that a client of the older version saw is still so; there may be more."""
    if isinstance(then, dict):
        for name, value in then.items():
            assert_holds(now[name], value)
    elif isinstance(then, list):
        assert len(now) == len(then)
        for one, other in zip(now, then, strict=True):
            assert_holds(one, other)
    elif isinstance(then, str) and then.startswith("https://"):
        pass  # at whichever port
    else:
        assert now == then


def test_a_training_that_was_killed_is_completed(name: str, old: State, seen: Any) -> None:
    steps = len((old.jobs / seen["interrupted"] / "metrics.jsonl").read_text().splitlines())
    assert steps > 0
    with opened(old) as client:
        done = wait_for_training(client, {"project_id": seen["project_id"]}, seen["interrupted"], seconds=120)
    assert done["entity"]["status"]["state"] == "completed", done["entity"]["status"]
    metrics = done["entity"]["status"]["metrics"]
    assert metrics[-1]["ml_metrics"]["progress"] == pytest.approx(1)
    assert len(metrics) > steps
    log = (old.jobs / seen["interrupted"] / "job.log").read_text()
    assert ("tuning starts anew" in log) is (name not in RESUMED), log


def test_one_of_a_newer_version_is_refused_and_left_as_it_is(old: State) -> None:
    execute(old, f"PRAGMA user_version = {VERSION + 1}")
    claim(old)
    before, records = everything_in(old.root), records_of(old)
    done = run_cli(old.root, "serve", "--model", "tiny")
    assert done.returncode == 1
    assert "was made by a newer version of prompt-tuning-helpers" in done.stderr
    assert done.stderr.count("\n") == 1
    after = everything_in(old.root)
    # The database is compared by what is in it: SQLite moves that between the files when it opens them.
    changed = {name for name in before if after.get(name) != before[name] and not name.startswith("runtime.db")}
    assert changed <= {"runtime.log"}
    assert records_of(old) == records
    assert version_of(old.database) == VERSION + 1


def records_of(state: State) -> list[str]:
    """All tables and rows of a state folder's database, as SQL."""
    with closing(sqlite3.connect(state.database)) as connection:
        return list(connection.iterdump())
