"""What tests of the connection share: an environment that says nothing, the SDK's client, and a runtime's record."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from tests.support.environment import placeless
from tests.support.places import KEY


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that says nothing, and a folder without ``.env``; what the SDK sets is undone."""
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ, placeless(), clear=True):
        yield


@pytest.fixture
def client() -> Iterator[mock.Mock]:
    """The SDK's client; it lets everybody in unless told otherwise."""
    with mock.patch("ibm_watsonx_ai.APIClient", autospec=True) as client:
        from ibm_watsonx_ai.client import APIClient

        client.PLATFORM_URLS_MAP = APIClient.PLATFORM_URLS_MAP
        yield client


@pytest.fixture
def runtime(tmp_path: Path) -> SimpleNamespace:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    return SimpleNamespace(
        url="https://127.0.0.1:4433",
        api_key=KEY,
        project_id="local-project",
        ca_bundle=str(bundle),
        pid=1,
        models=("HuggingFaceTB/SmolLM2-135M-Instruct",),
    )


@pytest.fixture
def without() -> Callable[..., Any]:
    """Make a package look as if it were not installed."""
    import importlib.util

    find = importlib.util.find_spec

    def hide(name: str) -> Any:
        return mock.patch("importlib.util.find_spec", side_effect=lambda asked: None if asked == name else find(asked))

    return hide
