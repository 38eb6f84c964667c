"""The examples of docs/test-double.md, as a reader would copy them, wherever the client that they use is installed."""

import configparser
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prompt_tuning_helpers.double import local_watsonx
from prompt_tuning_helpers.runtime.routes import OPERATIONS
from tests.support.environment import REPOSITORY, offline_environment
from tests.test_pytest_plugin import project, run_pytest  # noqa: F401

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "test-double.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
INSTALLED_BY_TEST_CLIENTS = REPOSITORY / "build" / "clients"
CLIENTS = {
    "test_reviews.py": "ibm_watsonx_ai",
    "test_with_litellm.py": "litellm",
    "test_with_langchain.py": "langchain",
    "test_with_llama_index.py": "llama_index",
}


def look_for(client: str) -> str:
    """Give the lines by which a test finds a client: none where it is installed here, not by make test-clients."""
    if importlib.util.find_spec(client) is not None:
        return ""
    found = list((INSTALLED_BY_TEST_CLIENTS / client).glob("lib/python*/site-packages"))
    if not found:
        pytest.skip(f"{client} is not installed; make test-clients installs it")
    return f"import sys\nsys.path.append({str(found[0])!r})\n"


def require(*programs: str) -> None:
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"{' and '.join(missing)} must be on the PATH")


def test_every_example_is_run() -> None:
    ran = {*CLIENTS, "conftest.py", "test_with_unittest.py", "reviews.sh", "reviews.test.mjs"}
    assert EXAMPLES.keys() == ran | {"tox.ini", "workflow.yml", "service.yml"}
    assert PAGE.count("\n```") == 2 * len(EXAMPLES)


@pytest.mark.parametrize("name", CLIENTS)
def test_with_pytest(name: str, project: Path) -> None:  # noqa: F811
    (project / "conftest.py").write_text(look_for(CLIENTS[name]) + EXAMPLES["conftest.py"])
    # litellm looks for prices on the network otherwise.
    done = run_pytest(project, EXAMPLES[name], "-W", "ignore", LITELLM_LOCAL_MODEL_COST_MAP="True")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9][0-9]* passed", done.stdout)


def test_with_unittest(tmp_path: Path) -> None:
    (tmp_path / "test_with_unittest.py").write_text(EXAMPLES["test_with_unittest.py"])
    attempts = tmp_path / "attempts"
    command = [sys.executable, "-W", "ignore", "-m", "unittest", "test_with_unittest"]
    environment = offline_environment(attempts)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 1 test" in done.stderr
    assert not attempts.exists(), attempts.read_text()


def test_in_a_shell(tmp_path: Path) -> None:
    require("bash", "curl", "jq")
    script = tmp_path / "reviews.sh"
    script.write_text(EXAMPLES["reviews.sh"])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "As expected." in done.stdout


def test_with_node(tmp_path: Path) -> None:
    require("node")
    places = [folder / "node_modules" for folder in (REPOSITORY, INSTALLED_BY_TEST_CLIENTS / "node")]
    installed = [place for place in places if (place / "@ibm-cloud" / "watsonx-ai").is_dir()]
    if not installed:
        pytest.skip("@ibm-cloud/watsonx-ai is not installed; make test-clients installs it")
    (tmp_path / "node_modules").symlink_to(installed[0])
    (tmp_path / "reviews.test.mjs").write_text(EXAMPLES["reviews.test.mjs"])
    with local_watsonx() as runtime, runtime.new_project() as watsonx:
        environment = {**os.environ, **watsonx.environment}
        done = subprocess.run(
            ["node", "--test"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 2" in done.stdout


def test_settings_of_tox_and_workflows_can_be_read() -> None:
    """Neither is run here: tox would install PyTorch from the network, and the workflows are for GitHub's machines."""
    settings = configparser.ConfigParser()
    settings.read_string(EXAMPLES["tox.ini"])
    assert "pytest" in settings["testenv"]["commands"]
    for name in ("workflow.yml", "service.yml"):
        (job,) = yaml.safe_load(EXAMPLES[name])["jobs"].values()
        for step in job["steps"]:
            if "run" in step:
                checked = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True)
                assert checked.returncode == 0, checked.stderr
    container = (REPOSITORY / "Containerfile").read_text()
    (entry_point,) = [line for line in container.splitlines() if line.startswith("ENTRYPOINT ")]
    *_, script, name = json.loads(entry_point.removeprefix("ENTRYPOINT "))
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, name) == (0, "serve"), checked.stderr


def test_the_page_has_every_route() -> None:
    routes = {str(operation) for operation in OPERATIONS if operation.control}
    assert set(re.findall(r"^\| `([A-Z]+ /test-controls\S*)` \|", PAGE, re.MULTILINE)) == routes
