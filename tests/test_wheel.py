"""The wheel holds the package, all of it and nothing else; it finds its files where it is installed."""

import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from prompt_tuning_helpers._launcher import LOCAL_REQUIREMENTS
from tests.support.environment import REPOSITORY, placeless
from tests.support.wheel import PACKAGE

pytestmark = pytest.mark.slow

# What the package is made of, by the ends of its files' names.
KINDS = {".json", ".otf", ".py", ".txt", ".typed"}

# Prints where the package finds what is not Python.
FIND = f"""
from importlib.resources import files
from {PACKAGE} import datasets, fonts, i18n, lesson
assert i18n.translations("es") and i18n.translations("zh")
train, test = lesson.reviews_path("train"), lesson.reviews_path("test")
assert len(datasets.load_rows(train)) > len(datasets.load_rows(test)) > 0
print(train, test, fonts.FILE, files("{PACKAGE}") / "py.typed", sep="\\n")
"""


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_there_is_nothing_beside_the_package(names: set[str]) -> None:
    (described,) = {name.split("/")[0] for name in names} - {PACKAGE}
    assert described.endswith(".dist-info")
    kinds = {Path(name).suffix for name in names if name.startswith(f"{PACKAGE}/")}
    assert kinds == KINDS


def test_the_whole_package_is_there_and_the_reviews(names: set[str]) -> None:
    files = [path for path in (REPOSITORY / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    expected = {path.relative_to(REPOSITORY).as_posix() for path in files}
    expected |= {f"{PACKAGE}/data/dog_grooming_reviews_{split}_data.json" for split in ("train", "test")}
    assert {name for name in names if name.startswith(f"{PACKAGE}/")} == expected


def test_both_licences_are_there(names: set[str]) -> None:
    (described,) = {name.split("/")[0] for name in names} - {PACKAGE}
    assert {f"{described}/licenses/LICENSE", f"{described}/licenses/{PACKAGE}/fonts/OFL.txt"} <= names


def test_its_files_are_found_where_it_is_installed(hosted_python: Path, tmp_path: Path) -> None:
    command = [str(hosted_python), "-c", FIND]
    done = subprocess.run(command, cwd=tmp_path, env=placeless() | {"PYTHONPATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    paths = list(map(Path, done.stdout.splitlines()))
    assert len(paths) == 4
    for path in paths:
        assert path.is_relative_to(hosted_python.parents[1]), path
        assert path.is_file(), path


def test_the_packages_that_a_runtime_asks_for_are_those_of_its_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {Requirement(line).name for line in project["optional-dependencies"]["local"]}
    of_modules = packages_distributions()
    asked_for = [name.lower() for module in LOCAL_REQUIREMENTS for name in set(of_modules[module])]
    assert sorted(asked_for) == sorted(extra - {"pip"})  # which runs as a program, and need not be in this environment
