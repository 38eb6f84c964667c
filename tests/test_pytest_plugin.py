"""The fixture ``watsonx``, as a project that installed this package gets it: in runs of pytest of their own."""

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import psutil
import pytest

from prompt_tuning_helpers._installation import install_command
from tests.support.environment import REPOSITORY, offline_environment

pytestmark = pytest.mark.slow

PLUGIN = "prompt_tuning_helpers.pytest_plugin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder for tests, and one that registers the plugin as installing the package does."""
    entry_points = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = tmp_path / "installed" / "registers_the_plugin-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: registers-the-plugin\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in entry_points.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def run_pytest(project: Path, tests: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a process of their own, without a network; of watsonx.ai the environment says what is given."""
    (project / "test_mine.py").write_text(textwrap.dedent(tests))
    attempts = project / "attempts"
    values = offline_environment(attempts) | environment
    values["PYTHONPATH"] = os.pathsep.join([str(project.parent / "installed"), values["PYTHONPATH"]])
    values.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={project.parent / 'temporary'}"]
    done = subprocess.run([*command, *options], cwd=project, env=values, capture_output=True, text=True, timeout=300)
    assert not attempts.exists(), attempts.read_text()
    return done


def code_in_readme(language: str, holds: str) -> str:
    readme = (REPOSITORY / "README.md").read_text()
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```", readme, re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if holds in block]
    return textwrap.dedent(found)


def test_the_example_of_the_readme(project: Path) -> None:
    done = run_pytest(project, code_in_readme("python", "def test_"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "warning" not in done.stdout


def test_one_runtime_and_a_clean_project_for_each_test(project: Path) -> None:
    """Also with a key of the user's own, which must not be used, and a file with settings that would be refused."""
    (project / ".env").write_text("WATSONX_APIKEY=of-the-file\nWATSONX_URL=https://evil.example\n")
    (project / ".env").chmod(0o666)
    (project / "pytest.ini").unlink()
    (project / "pyproject.toml").write_text(code_in_readme("toml", "watsonx_models"))
    tests = """
        import os
        from pathlib import Path

        import psutil
        import pytest
        from ibm_watsonx_ai import APIClient
        from ibm_watsonx_ai.experiment import TuneExperiment
        from ibm_watsonx_ai.foundation_models import ModelInference
        from ibm_watsonx_ai.helpers import DataConnection

        from prompt_tuning_helpers import connect

        ALIAS = "ibm/granite-13b-instruct-v2"
        seen = []


        def upload(watsonx, tmp_path):
            client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
            file = tmp_path / "rows.json"
            file.write_text('[{"input": "a", "output": "1"}]')
            return client, client.data_assets.get_id(client.data_assets.create(name="rows", file_path=str(file)))


        def jobs():
            return [process for process in psutil.Process().children(recursive=True) if "tune" in process.cmdline()]


        @pytest.mark.parametrize("number", range(2))
        def test_everything_left_behind(watsonx, tmp_path, number):
            assert not jobs()
            client, asset_id = upload(watsonx, tmp_path)
            assert len(client.data_assets.list()) == 1
            experiment = TuneExperiment(watsonx.credentials, project_id=watsonx.project_id)
            assert len(experiment.runs.list()) == 0
            tuner = experiment.prompt_tuner(
                name="endless", task_id=experiment.Tasks.CLASSIFICATION, base_model=ALIAS, num_epochs=100_000
            )
            details = tuner.run([DataConnection(data_asset_id=asset_id)], background_mode=True)
            assert "local_runtime" not in details["entity"]  # it tunes as the test asked for
            seen.append((watsonx.url, watsonx.project_id))


        def test_all_of_it_is_gone(watsonx):
            assert not jobs()
            seen.append((watsonx.url, watsonx.project_id))
            assert len({url for url, _ in seen}) == 1
            assert len({project_id for _, project_id in seen}) == 3
            (runtime,) = psutil.Process().children()
            Path("pid").write_text(str(runtime.pid))


        def test_reset(watsonx, tmp_path):
            client, _ = upload(watsonx, tmp_path)
            watsonx.reset()
            assert len(client.data_assets.list()) == 0
            upload(watsonx, tmp_path)
            assert len(client.data_assets.list()) == 1


        def test_the_environment_leads_to_it(watsonx):
            connection = connect()
            assert (connection.place, connection.url) == ("local runtime", watsonx.url)
            assert connection.project_id == watsonx.project_id


        def test_the_environment_is_restored(watsonx_session):
            assert os.environ["WATSONX_APIKEY"] == "the-user's-own"
            assert "WATSONX_URL" not in os.environ
            assert "LOCAL_WATSONX_STATE" not in os.environ


        def test_models(watsonx):
            tiny, alias = watsonx.models
            assert alias == ALIAS
            client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
            with pytest.warns(match="it is not that model"):
                answer = ModelInference(model_id=alias, api_client=client).generate_text(prompt="x")
            model = ModelInference(model_id=tiny, api_client=client)
            assert answer == model.generate_text(prompt="x") == "".join(model.generate_text_stream(prompt="x"))


        def test_no_secret_is_shown(watsonx):
            assert watsonx.credentials.api_key not in repr(watsonx)


        def test_a_project_may_be_gone_already(watsonx):
            APIClient(watsonx.credentials).projects.delete(watsonx.project_id)
        """
    done = run_pytest(project, tests, "-p", PLUGIN, WATSONX_APIKEY="the-user's-own")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
    assert not psutil.pid_exists(int((project / "pid").read_text()))


def test_what_a_test_sets_is_taken_back(project: Path) -> None:
    """Two tests that set the same, whatever order they run in, and one that sees what is set for all of them."""
    tests = """
        from datetime import UTC, datetime

        import pytest
        from ibm_watsonx_ai import APIClient
        from ibm_watsonx_ai.foundation_models import ModelInference


        @pytest.fixture(scope="module", autouse=True)
        def common(watsonx_session):
            watsonx_session.answers["common"] = "to all"


        def ask(watsonx, prompt):
            client = APIClient(watsonx.credentials, project_id=watsonx.project_id)
            return ModelInference(model_id=watsonx.models[0], api_client=client).generate_text(prompt)


        @pytest.mark.parametrize("number", range(2))
        def test_mine(watsonx, number):
            assert not watsonx.requests and not watsonx.answers and not watsonx.faults
            assert watsonx.clock.now().year == datetime.now(UTC).year
            assert ask(watsonx, "x") != "mine"
            watsonx.clock.freeze("2031-01-01T00:00:00Z")
            watsonx.answers["x"] = ["mine", "again"]
            watsonx.faults.add("POST /ml/v1/text/generation", status=429)
            assert [ask(watsonx, "x"), ask(watsonx, "common")] == ["mine", "to all"]
            asked = [r.status for r in watsonx.requests if r.operation == "POST /ml/v1/text/generation"]
            assert asked == [200, 429, 200, 200]
            watsonx.faults.add("*", status=500, times=None)
        """
    done = run_pytest(project, tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_without_the_extra_packages_the_message_says_what_to_install(project: Path) -> None:
    tests = """
        import importlib.util

        import pytest

        find = importlib.util.find_spec


        @pytest.fixture(scope="session", autouse=True)
        def without_torch():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
                yield


        def test_mine(watsonx):
            pass
        """
    done = run_pytest(project, tests)
    assert done.returncode == 1
    assert "these packages are missing: torch" in done.stdout
    assert install_command() in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest_plugin.py" not in done.stdout


def test_a_runtime_that_cannot_start_says_why(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nwatsonx_models =\n    =\n")
    done = run_pytest(project, "def test_mine(watsonx): pass")
    assert done.returncode == 1
    assert "must have the form NAME=MODEL" in done.stdout


def test_every_run_of_pytest_loads_little() -> None:
    heavy = "{'torch', 'transformers', 'starlette', 'uvicorn', 'psutil', 'httpx', 'pandas', 'ibm_watsonx_ai'}"
    code = f"import sys, {PLUGIN}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
