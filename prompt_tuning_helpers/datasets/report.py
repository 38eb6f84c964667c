"""What a check of the data found, and how it prints."""

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..i18n import say

ROWS_NAMED = 10  # in the text of a finding; its fields hold all of them


@dataclass(frozen=True)
class Finding:
    """Something that makes data less useful than it could be.

    Args:
        kind: ``"duplicate"``, ``"near-duplicate"``, ``"conflict"``, ``"leak"``, ``"near-leak"``, ``"prompt"``,
            ``"label"``, ``"imbalance"`` or ``"too long"``.
        text: what was found and why it matters.
        train: numbers of the training rows concerned, the first row being 1.
        test: numbers of the test rows concerned.
    """

    kind: str
    text: str
    train: tuple[int, ...] = ()
    test: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """The figures of the training or of the test data.

    Args:
        name: ``"training"`` or ``"test"``.
        rows: how many there are.
        labels: rows for each output.
        longest: tokens of the longest input.
    """

    name: str
    rows: int
    labels: dict[str, int]
    longest: int


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; it prints itself, as text or as HTML.

    Args:
        parts: figures of the training data, and of the test data if there are any.
        findings: all that is unwise; none for data without a flaw.
        estimated: whether tokens were estimated, since no counter was given.
    """

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    estimated: bool

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Pick the findings of one kind.

        Args:
            kind: as in :class:`Finding`.
        """
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def _table(self) -> list[list[str]]:
        about = say("longest input, in tokens (estimated)") if self.estimated else say("longest input, in tokens")
        head = ["", say("rows"), say("rows per output"), about]
        body = [
            [
                say(part.name),
                str(part.rows),
                ", ".join(f"{_short(label)}: {count}" for label, count in part.labels.items()),
                str(part.longest),
            ]
            for part in self.parts
        ]
        return [head, *body]

    def _summary(self) -> str:
        if self.ok:
            return say("Nothing to complain about.")
        return say("To look at before you continue:")

    def __str__(self) -> str:
        """Set the report as plain text."""
        table = self._table()
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([*lines, "", self._summary(), *(f"- {finding.text}" for finding in self.findings)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._table()
        rows = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        rows += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        items = "".join(f"<li>{html.escape(finding.text)}</li>" for finding in self.findings)
        found = f"<ul>{items}</ul>" if items else ""
        return f"<table>{table}</table><p>{html.escape(self._summary())}</p>{found}"


def listed(items: Iterable[str]) -> str:
    """Set a list into the text of a finding, cut off after the first ten.

    Args:
        items: what is listed.
    """
    names = list(items)
    if len(names) <= ROWS_NAMED:
        return ", ".join(names)
    return say("{some} and {count} more", some=", ".join(names[:ROWS_NAMED]), count=len(names) - ROWS_NAMED)


def quoted(label: str) -> str:
    """Set an output in quotes, cut off if it is long.

    Args:
        label: an output.
    """
    return json.dumps(_short(label), ensure_ascii=False)


def _short(label: str) -> str:
    return label if len(label) <= 30 else label[:29] + "…"
