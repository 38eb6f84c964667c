"""``make test-packages``: wheel and source distribution, each installed by pip into an environment that was empty.

It is no part of the default run, because it installs PyTorch twice, under ``build/packages``.
"""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from prompt_tuning_helpers._launcher import LOCAL_REQUIREMENTS
from tests.support.environment import REPOSITORY, SUPPORT, placeless
from tests.support.wheel import PACKAGE, run

ENVIRONMENTS = REPOSITORY / "build" / "packages"
NOTEBOOK = REPOSITORY / "notebooks" / "prompt_tuning_tutorial.ipynb"
LAST_CELL = "data-connection"  # the next one starts the tuning

# Prints where the package lies, and whatever else is on the path that is neither Python's nor this environment's.
WHERE = f"import sys, {PACKAGE}; print({PACKAGE}.__file__, [path for path in sys.path if not path.startswith(({{}}))])"


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment in which one of the two was installed with what the local runtime needs."""
    kind: str = request.param
    built: Path = request.getfixturevalue(kind)
    folder = ENVIRONMENTS / kind
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    run([str(python), "-m", "pip", "install", "--quiet", f"{PACKAGE}[local] @ {built.as_uri()}"])
    return python


def alone(folder: Path) -> dict[str, str]:
    """An environment that leads to nothing of the checkout, with a state folder of its own and the tiny model."""
    return placeless() | {
        "PYTHONPATH": "",
        "LOCAL_WATSONX_STATE": str(folder / "state"),
        "LOCAL_WATSONX_MODEL": "tiny",
        "HF_HUB_OFFLINE": "1",
    }


@pytest.mark.timeout(1800)
def test_nothing_of_the_checkout_is_needed(python: Path, tmp_path: Path) -> None:
    places = (sys.base_prefix, str(python.parents[1]))
    command = [str(python), "-P", "-c", WHERE.format(places)]
    done = subprocess.run(command, cwd=tmp_path, env=alone(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (site_packages,) = python.parents[1].glob("lib/python*/site-packages")
    assert done.stdout == f"{site_packages / PACKAGE / '__init__.py'} []\n"


@pytest.mark.timeout(1800)
def test_the_first_cells_of_the_lesson_run(python: Path, tmp_path: Path) -> None:
    command = [str(python), "-P", str(SUPPORT / "first_cells.py"), str(NOTEBOOK), LAST_CELL]
    done = subprocess.run(command, cwd=tmp_path, env=alone(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "Base model: local/tiny-random-llama",
        f"Packages for the local runtime: {list(LOCAL_REQUIREMENTS)}",
    ]
    assert "the local watsonx.ai runtime" in done.stdout


@pytest.mark.timeout(1800)
def test_the_runtime_has_its_command(python: Path, tmp_path: Path) -> None:
    command = [str(python.with_name("local-watsonx")), "status"]
    done = subprocess.run(command, cwd=tmp_path, env=alone(tmp_path), capture_output=True, text=True)
    assert done.returncode == 3
    assert f"No runtime runs on {tmp_path / 'state'}" in done.stderr
