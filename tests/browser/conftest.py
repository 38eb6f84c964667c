"""JupyterLab on a copy of the notebooks, and a browser to look at it with."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.support.environment import offline_environment

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "browser"
START_SECONDS = 60.0
INSTALLED_AS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
NO_BROWSER = (
    "No Chromium or Chrome was found. Install one: on Debian `sudo apt install chromium`, on Ubuntu and macOS Google "
    "Chrome, or anywhere `.venv/bin/playwright install --with-deps chromium`."
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that has only settings of its own, and whose kernels use the tiny model."""
    folder = tmp_path
    notebooks = shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copytree(ROOT / "data", folder / "data")
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")
    environment = offline_environment(folder / "attempts") | {
        "LOCAL_WATSONX_MODEL": "tiny",
        "LOCAL_WATSONX_STATE": str(folder / "state"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_TOKEN": secrets.token_hex(),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", f"--ServerApp.root_dir={notebooks}"]
    if os.name == "posix" and os.geteuid() == 0:
        command.append("--allow-root")
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield _address(folder / "runtime", server, log)
    finally:
        server.terminate()
        server.wait(30)


def _address(runtime: Path, server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the server has written down where it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for record in runtime.glob("jpserver-*.json"):
            with suppress(ValueError):  # half written
                told = json.loads(record.read_text(encoding="utf-8"))
                return f"{told['url']}lab/tree/{{path}}?token={told['token']}"
        time.sleep(0.1)
    server.terminate()
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium or Chrome of this computer."""
    found = next(filter(None, map(shutil.which, INSTALLED_AS)), None)
    ways: list[dict[str, Any]] = [{"executable_path": found}] if found else [{"channel": "chrome"}, {}]
    with sync_playwright() as playwright:
        for way in ways:
            try:
                browser = playwright.chromium.launch(**way)
                break
            except Error as problem:
                if found:
                    raise RuntimeError(f"{found} does not start: {problem}") from problem
        else:
            pytest.fail(NO_BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new window, as large as a laptop's screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()
