"""IMPLEMENTED.md says what the routes are, and every module's first line says what it is for."""

import ast

from prompt_tuning_helpers.runtime.routes import MODULES, OPERATIONS
from tests.support.environment import REPOSITORY
from tools.implemented import describe_operations


def test_the_page_is_up_to_date() -> None:
    assert (REPOSITORY / "IMPLEMENTED.md").read_text() == describe_operations()


def test_what_is_said_to_be_missing_is_missing() -> None:
    offered = {f"{operation.method} {operation.path}" for operation in OPERATIONS}
    offered |= {operation.path for operation in OPERATIONS}
    missing = {name for module in MODULES for name in getattr(module, "NOT_OFFERED", ())}
    assert missing
    assert not missing & offered


def test_modules_say_what_they_are_for() -> None:
    paths = list((REPOSITORY / "prompt_tuning_helpers" / "runtime").rglob("*.py"))
    assert paths
    for path in paths:
        assert ast.get_docstring(ast.parse(path.read_text())), path
