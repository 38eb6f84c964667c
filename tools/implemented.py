"""Writes IMPLEMENTED.md from the routes: ``python -m tools.implemented > IMPLEMENTED.md``."""

from collections.abc import Iterator

from prompt_tuning_helpers.runtime.routes import MODULES
from prompt_tuning_helpers.runtime.routes.operations import Operation
from prompt_tuning_helpers.runtime.routes.request_fields import Declaration

HEAD = """# What the local watsonx.ai runtime implements

Generated from the routes by `python -m tools.implemented`; a test keeps it up to date.
Operations that are not listed, or are listed as not offered, answer 404 or 405 in watsonx.ai's error shape. Of IBM's
reference, whole families are missing: prompts, embeddings, reranking, time series, text extraction, AI services,
vision and audio, moderation, and the administration of accounts.

What a client sends is honoured, warned about or refused. Each operation lists what it reads: parameters of the query,
and fields of the body with dots between levels and `[]` for lists. Another parameter is refused with a 400 that names
those there are, and so is one that is repeated (but for `tag.value`) or empty: a list never has more than was asked
for. Another field is ignored with a warning in the answer's `system.warnings`, which the SDK shows as a Python
warning, or refused where the table says so; so is a body where none is read. Under `/ml`, every operation needs the
query parameter `version`, a date in the form YYYY-MM-DD; elsewhere it may be left out. Projects alone are offered:
`space_id` is refused.
"""


def describe_operations() -> str:
    """Write the page's text: a table for each family of the REST API."""
    parts = [HEAD]
    for module in MODULES:
        title = module.__name__.rsplit(".", 1)[-1].replace("_", " ").capitalize()
        doc = (module.__doc__ or "").strip()
        parts.append(f"\n## {title}\n\n{doc}\n\n| operation | what it does | reads | differs |\n|---|---|---|---|\n")
        for item in module.OPERATIONS:
            parts.append(f"| `{item}` | {item.summary} | {_describe_reading(item)} | {item.differs} |\n")
        parts.extend(_describe_fields(getattr(module, "DECLARED", ())))
        missing = ", ".join(f"`{name}`" for name in getattr(module, "NOT_OFFERED", ()))
        parts.append(f"\nNot offered: {missing}.\n" if missing else "")
    return "".join(parts)


def _describe_reading(operation: Operation) -> str:
    """Say which parameters and fields an operation reads, and of which it warns."""
    others = "others are refused" if operation.strict else ""
    found = (
        _list("query: ", operation.query),
        _list("body: ", operation.fields, others),
        _list("with a warning: ", operation.ignored),
    )
    return "; ".join(text for text in found if text)


def _list(title: str, names: tuple[str, ...] | None, remark: str = "") -> str:
    text = ", ".join(f"`{name}`" for name in names or ())
    return f"{title}{text}{f' ({remark})' if remark else ''}" if text else ""


def _describe_fields(declaration: Declaration) -> Iterator[str]:
    """Write the table of what becomes of the fields of a module's requests, if it declares them."""
    if declaration:
        yield "\n| field | what becomes of it | remark |\n|---|---|---|\n"
    for field in declaration:
        yield f"| `{field.name}` | {field.treatment} | {field.remark} |\n"
    if declaration:
        yield "| any other | ignored with a warning |  |\n"


if __name__ == "__main__":
    print(describe_operations(), end="")
