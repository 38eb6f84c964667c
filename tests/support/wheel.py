"""The package as others get it: wheel and source distribution, and environments in which a wheel is installed."""

import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.environment import REPOSITORY

PACKAGE = "prompt_tuning_helpers"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--isolated")


def build_wheel(folder: Path, source: Path = REPOSITORY) -> Path:
    """Build the wheel of the checkout, or of a source distribution, with what is installed here; gives its path."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    run([*PIP, "wheel", *options, str(source)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def build_sdist(folder: Path) -> Path:
    """Build the source distribution of the checkout with what is installed here; gives its path."""
    run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)], REPOSITORY)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def install_alone(wheel: Path, folder: Path) -> Path:
    """Make an environment that has a wheel and what that requires, without its extras.

    Returns:
        Its Python. What the wheel requires are links to what is installed here.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    run([*PIP, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)])
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (installed,) = distributions(path=[str(site_packages)])
    for name in needed_for(installed.requires or [], set()):
        found = distribution(name)
        for part in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site_packages / part).exists():
                (site_packages / part).symlink_to(str(found.locate_file(part)))
    return python


def needed_for(requirements: Iterable[str], known: set[str]) -> set[str]:
    """The names of the packages that requirements ask for, and of all that those need, without extras."""
    for needed in map(Requirement, requirements):
        name = canonicalize_name(needed.name)
        if name not in known and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            known.add(name)
            needed_for(distribution(name).requires or [], known)
    return known


def run(command: list[str], folder: Path | None = None) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
