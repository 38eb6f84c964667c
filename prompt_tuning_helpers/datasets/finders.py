"""The finders of a check: each looks at training or test rows, or at both, for one thing that is unwise."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from ..i18n import paragraph, say
from .nearest import nearest_pairs
from .report import Finding, listed, quoted
from .split import Row, Split, numbers

IMBALANCE = 2  # times as many rows of one label as of another


def find_within(split: Split) -> Iterator[Finding]:
    """Find repeats, conflicts and trouble with the outputs within one split.

    Args:
        split: training or test rows.
    """
    yield from _find_repeats(split)
    yield from _find_conflicts(split)
    yield from _find_label_trouble(split)


def _find_repeats(split: Split) -> Iterator[Finding]:
    """Find rows that are the same as an earlier one, or nearly so."""
    firsts = ((row, split.rows_of[row.text][0]) for row in split.rows)
    again = {row: first for row, first in firsts if first is not row}
    if again:
        yield split.finding(
            "duplicate",
            again,
            say(
                "{count} of {all} {name} rows repeat an earlier row: {rows}.",
                count=len(again),
                all=len(split.texts),
                name=say(split.name),
                rows=_equated(again),
            ),
        )
    distinct = [row for row in split.rows if row not in again]
    pairs = nearest_pairs([row.text for row in distinct])
    nearly = {distinct[i]: (distinct[j], similarity) for i, j, similarity in pairs}
    if nearly:
        yield split.finding(
            "near-duplicate",
            nearly,
            say(
                "{count} of {all} {name} rows are nearly an earlier row: {rows}.",
                count=len(nearly),
                all=len(split.texts),
                name=say(split.name),
                rows=_likened(nearly),
            ),
        )


def _find_conflicts(split: Split) -> Iterator[Finding]:
    """Find rows with the same input and different outputs."""
    groups = [rows for rows in split.rows_of.values() if len({row.output.strip() for row in rows}) > 1]
    if groups:
        yield split.finding(
            "conflict",
            [row for rows in groups for row in rows],
            say(
                "The same input has different outputs in {name} rows {rows}: decide which is right.",
                name=say(split.name),
                rows=listed(" / ".join(str(row.number) for row in rows) for rows in groups),
            ),
        )


def _find_label_trouble(split: Split) -> Iterator[Finding]:
    """Find outputs in several spellings, and outputs that are far more frequent than others."""
    counts = Counter(split.outputs)
    rows_by_output: dict[str, list[Row]] = defaultdict(list)
    for row in split.rows:
        rows_by_output[row.output].append(row)
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spellings[label.strip().casefold()].append(label)
    for same in spellings.values():
        if len(same) > 1:
            yield split.finding(
                "label",
                [row for label in same for row in rows_by_output[label]],
                say(
                    "Outputs of the {name} rows that differ only in blanks or case: {labels}.",
                    name=say(split.name),
                    labels=", ".join(map(quoted, same)),
                ),
            )
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if len(counts) == 1:
        text = say("All {name} rows have the output {label}.", name=say(split.name), label=quoted(most))
        yield Finding("imbalance", text)
    elif many > IMBALANCE * few:
        text = say(
            "The {name} rows are out of balance: {many} for {most}, but {few} for {least}.",
            name=say(split.name),
            many=many,
            most=quoted(most),
            few=few,
            least=quoted(least),
        )
        yield Finding("imbalance", text)


def find_too_long(split: Split, tokens: Callable[[str], int], most: int, *, estimated: bool) -> Iterator[Finding]:
    """Find inputs that the tuning would leave out.

    Args:
        split: training or test rows.
        tokens: counts the tokens of a text.
        most: the most tokens that an input may have.
        estimated: whether the count is an estimate.
    """
    long = {row: size for row in split.rows if (size := tokens(row.input)) > most}
    if long:
        text = say(
            "{count} of {all} {name} rows are longer than {most} tokens, and would be left out: {rows}.",
            count=len(long),
            all=len(split.inputs),
            name=say(split.name),
            most=most,
            rows=listed(f"{row.number} ({size})" for row, size in long.items()),
        )
        if estimated:
            text = paragraph(text, say("These lengths are estimates."))
        yield split.finding("too long", long, text)


def find_between(train: Split, test: Split) -> Iterator[Finding]:
    """Find what the test rows should not share with the training rows, and what they should.

    Args:
        train: the training rows.
        test: the test rows.
    """
    yield from _find_leaks(train, test)
    yield from _find_strange_prompts(train, test)


def _find_leaks(train: Split, test: Split) -> Iterator[Finding]:
    """Find test rows that the training has seen, or nearly so."""
    same = {row: train.rows_of[row.text][0] for row in test.rows if row.text in train.rows_of}
    if same:
        yield Finding(
            "leak",
            say(
                "{count} of {all} test rows are also in the training data, so the test tells less than it seems to: "
                "{rows}.",
                count=len(same),
                all=len(test.texts),
                rows=_equated(same),
            ),
            train=numbers(row for row in train.rows if row.text in test.rows_of),
            test=numbers(same),
        )
    opposed = {row: first for row, first in same.items() if row.output.strip() != first.output.strip()}
    if opposed:
        yield Finding(
            "conflict",
            say(
                "The same input has different outputs in test and training rows {rows}: decide which is right.",
                rows=listed(f"{row.number} / {first.number}" for row, first in opposed.items()),
            ),
            train=numbers(opposed.values()),
            test=numbers(opposed),
        )
    others = [row for row in test.rows if row not in same]
    pairs = nearest_pairs([row.text for row in others], train.texts)
    nearly = {others[i]: (train.rows[j], similarity) for i, j, similarity in pairs}
    if nearly:
        yield Finding(
            "near-leak",
            say(
                "{count} of {all} test rows are nearly a training row: {rows}.",
                count=len(nearly),
                all=len(test.texts),
                rows=_likened(nearly),
            ),
            train=numbers(other for other, _ in nearly.values()),
            test=numbers(nearly),
        )


def _find_strange_prompts(train: Split, test: Split) -> Iterator[Finding]:
    """Find instructions and outputs that the training rows do not have."""
    if test.prompt != train.prompt or not all(map(train.prompt.is_around, test.inputs)):
        yield Finding(
            "prompt",
            say(
                "Training and test inputs do not have the same instruction around them; a prompt tuned on one shape "
                "may fail on the other."
            ),
        )
    unknown = sorted(set(test.outputs) - set(train.outputs))
    if unknown:
        yield Finding(
            "label",
            say("Test outputs that no training row has: {labels}.", labels=listed(map(quoted, unknown))),
            test=numbers(row for row in test.rows if row.output in unknown),
        )


def _equated(same: dict[Row, Row]) -> str:
    return listed(f"{row.number} (= {first.number})" for row, first in same.items())


def _likened(nearly: dict[Row, tuple[Row, float]]) -> str:
    return listed(f"{row.number} (≈ {other.number}, {like:.0%})" for row, (other, like) in nearly.items())
