"""Writes IMPLEMENTED.md from the routes: ``python -m tools.implemented > IMPLEMENTED.md``."""

from collections.abc import Iterator

from prompt_tuning_helpers.runtime.routes import MODULES
from prompt_tuning_helpers.runtime.routes.declared import Declaration

HEAD = """# What the local watsonx.ai runtime implements

Generated from the routes by `python -m tools.implemented`; a test keeps it up to date.
Operations that are not listed, or are listed as not offered, answer 404 or 405 in watsonx.ai's error shape. Of IBM's
reference, whole families are missing: prompts, embeddings, reranking, time series, text extraction, AI services,
vision and audio, moderation, and the administration of accounts.
Warnings are in an answer's `system.warnings`, which the SDK shows as Python warnings; what is refused answers 400.
"""


def describe_operations() -> str:
    """Write the page's text: a table for each family of the REST API."""
    parts = [HEAD]
    for module in MODULES:
        title = module.__name__.rsplit(".", 1)[-1].replace("_", " ").capitalize()
        doc = (module.__doc__ or "").strip()
        parts.append(f"\n## {title}\n\n{doc}\n\n| operation | what it does | differs |\n|---|---|---|\n")
        for item in module.OPERATIONS:
            parts.append(f"| `{item.method} {item.path}` | {item.summary} | {item.differs} |\n")
        parts.extend(_describe_fields(getattr(module, "FIELDS", ())))
        missing = ", ".join(f"`{name}`" for name in getattr(module, "NOT_OFFERED", ()))
        parts.append(f"\nNot offered: {missing}.\n" if missing else "")
    return "".join(parts)


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
