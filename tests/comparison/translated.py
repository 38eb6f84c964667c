"""Finds what a package says, for tests that all of it is translated."""

import ast
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType


def texts_in_use(package: ModuleType, indirect: Mapping[str, set[str]]) -> set[str]:
    """Give all texts that a package's files hand to ``say``, and to ``count``, which says one of two.

    Args:
        package: the package.
        indirect: texts that ``say`` is not given as literals, by the code that it is given.
    """
    texts: set[str] = set()
    assert package.__file__
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "say":
                text = node.args[0]
                texts |= {str(text.value)} if isinstance(text, ast.Constant) else indirect[ast.unparse(text)]
            if node.func.id == "count":
                texts |= {str(text.value) for text in node.args[1:] if isinstance(text, ast.Constant)}
    return texts
