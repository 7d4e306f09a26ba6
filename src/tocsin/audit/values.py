"""Checks of the values: classes, types, missing ones, constants, and what was refused while reading."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from tocsin.audit.columns import kind_of
from tocsin.audit.findings import Finding
from tocsin.audit.sides import EXAMPLES, Sides, count, enumerate_items, examples

RARE_CLASS = 0.01
MOSTLY_MISSING = 0.5
MOSTLY_DISTINCT = 0.5
NEARLY_CONSTANT = 0.999
NUMBERS, VALUES = 0.99, 20
"""Share of a text column's values that are numbers, and how many differ, from which it should be one of numbers."""


def check_schema(sides: Sides) -> Iterator[Finding]:
    """See that training and test have the same fields of the same kinds."""
    if sides.official is None:
        return
    kinds = [{n: kind_of(v) for n, v in d.columns.items()} for d in sides.everything()]
    wrong = sorted(n for n in kinds[0].keys() | kinds[1].keys() if kinds[0].get(n) != kinds[1].get(n))
    if wrong:
        message = f"training and test do not agree on: {', '.join(wrong)}"
        yield Finding(severity="error", name="schema", message=message, action="read both as the same sample")


def check_types(sides: Sides) -> Iterator[Finding]:
    """Numbers that are kept as text, and names that are spelled in several ways."""
    for name in sides.names:
        values = [v for v in set(sides.dataset.columns[name].tolist()) if v is not None]
        if len(values) > VALUES and sum(map(_is_number, values)) >= NUMBERS * len(values):
            yield Finding(
                severity="warning",
                name="numbers kept as text",
                message=f"{name} holds numbers, each of which is a name of its own to the model",
                action="declare the field as a number, if it is a quantity",
            )
        plain: dict[str, set[str]] = {}
        for value in values:
            plain.setdefault(" ".join(value.casefold().split()), set()).add(value)
        twice = [" = ".join(map(repr, sorted(same))) for same in plain.values() if len(same) > 1]
        if twice:
            shown = dict.fromkeys(sorted(twice), "")
            message = enumerate_items(
                f"values of {name} differ in letter case or spaces only", shown, EXAMPLES
            )
            yield Finding(
                severity="warning", name="spellings", message=message, action="write each in one way"
            )


def check_classes(sides: Sides) -> Iterator[Finding]:
    """Both classes on every side, every row labelled, and none so rare that nothing can be said about it."""
    for side, part in sides.parts.items():
        unlabelled = np.flatnonzero(part.label < 0)
        if len(unlabelled):
            message = f"{len(unlabelled):,} {side} rows carry no label"
            rows = examples(part, unlabelled)
            yield Finding(severity="error", name="labels", message=message, rows=rows, action="drop them")
        positives, rows_ = int((part.label == 1).sum()), len(part)
        rare = min(positives, rows_ - positives) / rows_ if rows_ else 0.0
        severity = "info" if rare >= RARE_CLASS else "warning" if rare or side != "train" else "error"
        message = f"{positives:,} of {rows_:,} {side} rows are positive"
        action = "" if severity == "info" else "add rows of the rarer class, or read its numbers with care"
        yield Finding(severity=severity, name="class balance", message=message, action=action)


def check_values(sides: Sides) -> Iterator[Finding]:
    """Missing values and infinities."""
    missing = {c.name: f"{c.missing:.1%}" for c in sides.columns if c.missing}
    most = any(c.missing > MOSTLY_MISSING for c in sides.columns)
    if missing:
        yield Finding(
            severity="warning" if most else "info",
            name="missing values",
            message=enumerate_items("training rows without a value", missing),
            action="drop the columns that are mostly empty" if most else "",
        )
    infinite = {c.name: f"{c.infinite:,} rows" for c in sides.columns if c.infinite}
    if infinite:
        message = enumerate_items("infinities, which are treated as missing", infinite)
        yield Finding(
            severity="warning", name="infinities", message=message, action="see what the sensor divides by 0"
        )


def check_constants(sides: Sides) -> Iterator[Finding]:
    """Columns that say nothing, or nearly nothing."""
    constant = [c.name for c in sides.columns if c.distinct <= 1]
    if constant:
        message = f"the same in every training row: {', '.join(constant)}"
        yield Finding(severity="warning", name="constant columns", message=message, action="they cannot help")
    nearly = [c for c in sides.columns if c.distinct > 1 and c.top_share > NEARLY_CONSTANT]
    if nearly:
        shares = {c.name: f"{1 - c.top_share:.3%}" for c in nearly}
        message = enumerate_items("share of training rows that differ from the usual value", shares)
        yield Finding(severity="info", name="near-constant columns", message=message)


def check_novelties(sides: Sides) -> Iterator[Finding]:
    """Values and kinds of positives that only the test holds."""
    train, test = sides.parts["train"], sides.parts["test"]
    distinct = {column.name: column.distinct for column in sides.columns}
    for column in sides.names:
        if distinct[column] > MOSTLY_DISTINCT * len(train):
            continue  # texts, not names: each is new, and a report is no place to repeat them
        known, values = set(train.columns[column]), test.columns[column]
        found = np.flatnonzero([value not in known for value in values])
        if len(found):
            counts = {k: f"{n:,} rows" for k, n in count(values[found]).items()}
            message = enumerate_items(f"values of {column} that training never saw", counts)
            yield Finding(severity="info", name="unseen values", message=message, rows=examples(test, found))
    kinds = set(train.category)
    counts = {k: f"{n:,} rows" for k, n in count(test.category).items() if k not in kinds}
    if counts:
        message = enumerate_items("kinds of positives only in the test", counts)
        yield Finding(severity="info", name="unseen kinds", message=message)


def check_reading(sides: Sides) -> Iterator[Finding]:
    """Rows that were refused and values that were mended while reading."""
    for part in sides.everything():
        if part.refused:
            shown = tuple(f"{bad.file}:{bad.line}: {bad.reason}" for bad in part.refused[:EXAMPLES])
            message = f"{len(part.refused):,} rows were refused, {len(part):,} were read"
            yield Finding(
                severity="warning", name="refused rows", message=message, rows=shown, action="mend the file"
            )
        if part.repairs:
            counts = {name: f"{number:,}" for name, number in part.repairs}
            message = enumerate_items("handled while reading", counts)
            yield Finding(severity="info", name="repairs", message=message)


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False
