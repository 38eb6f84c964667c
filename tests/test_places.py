"""The first cells of the notebooks, unedited, in each place: by its environment variables and installed packages."""

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from prompt_tuning_helpers._launcher import LOCAL_REQUIREMENTS
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.environment import REPOSITORY, SUPPORT, offline_environment

pytestmark = pytest.mark.slow

# Each notebook, and the last cell before the one that starts the tuning.
LAST_CELLS = {"prompt_tuning_tutorial": "data-connection", "tune_on_your_own_data": "settings"}
REGION = "https://eu-de.ml.cloud.ibm.com"


@pytest.fixture(params=LAST_CELLS)
def notebook(request: pytest.FixtureRequest) -> Path:
    return REPOSITORY / "notebooks" / f"{request.param}.ipynb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder beside the data, as the notebooks' is."""
    shutil.copytree(REPOSITORY / "data", tmp_path / "data")
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def run_first_cells(
    notebook: Path, python: Path | str, runtime: Endpoint, folder: Path, places: dict[str, str]
) -> list[str]:
    """Run the cells in a process of its own, which takes the runtime for watsonx.ai; the lines that it printed."""
    environment = offline_environment(folder / "attempts") | places
    environment |= {"SSL_CERT_FILE": runtime.ca_bundle, "NO_PROXY": "*"}
    if python != sys.executable:  # that one has the wheel installed, and must not see the checkout
        environment["PYTHONPATH"] = str(SUPPORT / "offline")
    command = [str(python), "-P", str(SUPPORT / "first_cells.py"), str(notebook)]
    command += [LAST_CELLS[notebook.stem], runtime.url]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert not (folder / "attempts").exists()
    return done.stdout.splitlines()


def test_in_a_hosted_notebook(notebook: Path, hosted_python: Path, live_runtime: Endpoint, folder: Path) -> None:
    """It is given a token, its project and the address of the data platform, and has no PyTorch."""
    form = {"apikey": live_runtime.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
    token = httpx.post(f"{live_runtime.url}/identity/token", data=form).json()["access_token"]
    places = {
        "RUNTIME_ENV_APSX_URL": "https://api.eu-de.dataplatform.cloud.ibm.com",
        "USER_ACCESS_TOKEN": f"Bearer {token}",
        "PROJECT_ID": live_runtime.project_id,
    }
    printed = run_first_cells(notebook, hosted_python, live_runtime, folder, places)
    assert printed[0] == f"Running in a hosted notebook on watsonx.ai at {REGION}."
    assert printed[-2:] == ["Base model: local/tiny-random-llama", "Packages for the local runtime: []"]


def test_in_jupyterlab_with_an_account(
    notebook: Path, hosted_python: Path, live_runtime: Endpoint, folder: Path
) -> None:
    """The key and the project may stand in a file called .env; PyTorch is not needed here either."""
    settings = {"APIKEY": live_runtime.api_key, "PROJECT_ID": live_runtime.project_id, "URL": REGION}
    (folder / ".env").write_text("".join(f"WATSONX_{name}={value}\n" for name, value in settings.items()))
    (folder / ".env").chmod(0o600)
    printed = run_first_cells(notebook, hosted_python, live_runtime, folder, {})
    assert printed[0] == f"Running on watsonx.ai at {REGION}."
    assert printed[-2] == "Base model: local/tiny-random-llama"


@pytest.mark.parametrize("of_ci", [{}, {"CI": "true", "WATSONX_APIKEY": "", "WATSONX_PROJECT_ID": ""}])
def test_on_this_computer(notebook: Path, live_runtime: Endpoint, folder: Path, of_ci: dict[str, str]) -> None:
    """Nothing is set, or, as in CI where there are no secrets, set to nothing."""
    state = Path(live_runtime.ca_bundle).parents[1]
    printed = run_first_cells(
        notebook, sys.executable, live_runtime, folder, of_ci | {"LOCAL_WATSONX_STATE": str(state)}
    )
    models = ", ".join(live_runtime.models)
    assert printed[0] == f"Running on this computer: the local watsonx.ai runtime, base model {models}."
    assert printed[-2:] == [
        "Base model: local/tiny-random-llama",
        f"Packages for the local runtime: {list(LOCAL_REQUIREMENTS)}",
    ]
