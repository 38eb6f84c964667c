"""What is published, wheel and source distribution: all of the package, nothing else, and a page for an index."""

import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_bytes
from email.message import Message
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from prompt_tuning_helpers import __version__
from prompt_tuning_helpers._launcher import LOCAL_REQUIREMENTS
from tests.support.environment import REPOSITORY, placeless
from tests.support.wheel import PACKAGE, build_wheel, run

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
def metadata(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


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


def test_each_licence_is_there(names: set[str], metadata: Message) -> None:
    (described,) = {name.split("/")[0] for name in names} - {PACKAGE}
    files = metadata.get_all("License-File")
    assert files == ["LICENSE", "data/CC0-1.0.txt", f"{PACKAGE}/fonts/OFL.txt"]
    assert {f"{described}/licenses/{file}" for file in files} <= names
    assert metadata["License-Expression"] == "Apache-2.0 AND CC0-1.0 AND OFL-1.1"


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as expected, ZipFile(build_wheel(tmp_path, sdist)) as built:
        assert {file.filename: file.CRC for file in built.infolist()} == {
            file.filename: file.CRC for file in expected.infolist()
        }


def test_a_package_index_takes_both(wheel: Path, sdist: Path) -> None:
    run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)])


def test_the_version_stands_in_one_place(metadata: Message, sdist: Path) -> None:
    assert metadata["Version"] == __version__
    assert f"-{__version__}." in sdist.name
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == __version__


def test_the_page_of_an_index_names_only_files_that_the_source_distribution_has(metadata: Message, sdist: Path) -> None:
    """An index has neither the repository's files nor its pictures, so there is no link to one."""
    page = metadata.get_payload()
    assert isinstance(page, str)
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    files = {link for link in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", readme) if not link.startswith("https://")}
    assert files <= there
    assert {file for file in files if f"`{file}`" not in page} == set()


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


def test_the_lock_is_resolved_with_what_every_build_of_pytorch_needs() -> None:
    """Builds for a GPU need more, which is theirs to bring."""
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    (told,) = [entry["requires-dist"] for entry in table["dependency-metadata"] if entry["name"] == "torch"]
    needed = [Requirement(line) for line in distribution("torch").requires or []]
    assert {str(line) for line in needed if line.marker is None} == set(map(str, map(Requirement, told)))
