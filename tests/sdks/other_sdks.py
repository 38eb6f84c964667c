"""``make test-sdks``: the whole lesson with several versions of the SDK, each unmodified in an environment of its own.

It is no part of the default run, because it installs the SDKs, under ``build/sdks``.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.environment import REPOSITORY

# Each with the packages that it imports but does not require.
VERSIONS = {"1.8.1": ["tqdm"], "1.3.42": ["tqdm"], "1.1.26.post1": ["tqdm", "pyarrow<20"]}
PYTHON = "python3.11"  # which all of them support
ENVIRONMENTS = REPOSITORY / "build" / "sdks"
SCRIPT = Path(__file__).with_name("plain_lesson.py")


def make_environment(version: str) -> Path:
    """An environment with one version of the SDK and what that needs; gives its Python."""
    folder, wanted = ENVIRONMENTS / version, [f"ibm-watsonx-ai=={version}", *VERSIONS[version]]
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists() or ready.read_text().split() != wanted:
        if shutil.which(PYTHON) is None:
            pytest.fail(f"This test needs {PYTHON} on the PATH: install Python 3.11 and try again.", pytrace=False)
        subprocess.run([PYTHON, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        ready.write_text("\n".join(wanted))
    return python


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_lesson(live_runtime: Endpoint, version: str, tmp_path: Path) -> None:
    python = make_environment(version)
    environment = {
        **os.environ,
        "WATSONX_URL": live_runtime.url,
        "WATSONX_APIKEY": live_runtime.api_key,
        "WATSONX_PROJECT_ID": live_runtime.project_id,
        "SSL_CERT_FILE": live_runtime.ca_bundle,
        "REQUESTS_CA_BUNDLE": live_runtime.ca_bundle,
        "NO_PROXY": "127.0.0.1",
        "PIP_NO_INDEX": "1",  # some SDKs install what they lack; here they must make do with their environment
    }
    ran = subprocess.run([python, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    assert f"The whole lesson ran with ibm-watsonx-ai {version}" in ran.stdout
