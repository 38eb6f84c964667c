"""How to install the rest of the package: from where it came from, be that a checkout, a wheel or a package index."""

import json
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from unittest import mock

import pytest

from prompt_tuning_helpers._installation import install_command
from tests.support.environment import REPOSITORY


@pytest.mark.parametrize(
    ("record", "source"),
    [
        (None, ""),
        (json.dumps({"url": "file:///a/checkout", "dir_info": {"editable": True}}), " @ file:///a/checkout"),
        (json.dumps({"url": "file:///b/my%20helpers.whl", "archive_info": {}}), " @ file:///b/my%20helpers.whl"),
    ],
)
def test_from_where_it_came(record: str | None, source: str) -> None:
    with mock.patch.object(Distribution, "from_name", return_value=mock.Mock(**{"read_text.return_value": record})):
        assert install_command() == f'pip install "prompt-tuning-helpers[local]{source}"'


def test_a_checkout_on_the_path_is_installed_from_where_it_lies() -> None:
    with mock.patch.object(Distribution, "from_name", side_effect=PackageNotFoundError):
        assert install_command() == f'pip install "prompt-tuning-helpers[local] @ {REPOSITORY.as_uri()}"'


def test_pip_understands_the_command(tmp_path: Path) -> None:
    with mock.patch.object(Distribution, "from_name", side_effect=PackageNotFoundError):
        requirement = install_command().removeprefix('pip install "').removesuffix('"')
    options = ["--dry-run", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--target", str(tmp_path), *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)["install"]
    assert found["requested_extras"] == ["local"]
