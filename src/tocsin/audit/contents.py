"""Checks of what texts say: broken characters, secrets, personal data, empty ones, and slices of one class."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.mojibake import find_mojibake
from tocsin.audit.sides import EXAMPLES, Sides, enumerate_items, examples
from tocsin.core.private_data import PERSONAL, SECRETS, Pattern, redact
from tocsin.data.dataset import Dataset
from tocsin.data.texts import spoken

BROKEN, BLANK = 0.001, 0.001
"""Share of rows with broken, or without any, text from which it is a warning."""
LANGUAGES = ("language", "lang")
SLICE_ROWS = 50
"""With fewer rows a slice of one class says nothing."""
LONGEST = 20_000
"""Characters of a text that are searched."""


def check_mojibake(sides: Sides) -> Iterator[Finding]:
    """Text that was decoded as what it was not encoded in."""
    for part in sides.everything():
        for name, values in _text_columns(part).items():
            broken = {v: found for v in set(values) if v and (found := find_mojibake(v[:LONGEST]))}
            rows = np.flatnonzero([value in broken for value in values])
            if len(rows):
                shown = ", ".join(repr(broken[values[i]]) for i in rows[:EXAMPLES])
                message = f"{len(rows):,} of {len(part):,} rows have broken characters in {name}: {shown}"
                yield Finding(
                    severity="warning" if len(rows) > BROKEN * len(part) else "info",
                    name="mojibake",
                    message=message,
                    rows=examples(part, rows),
                    action="read the file in the encoding it was written in (UTF-8 read as Windows-1252 looks so)",
                )


def check_secrets(sides: Sides) -> Iterator[Finding]:
    """Keys and tokens: rows are sealed into artifacts as golden samples, and models remember."""
    for part in sides.everything():
        for kind, rows in _search(part, SECRETS).items():
            shown = tuple(f"{part.ids[i]}: {redact(text)}" for i, text in list(rows.items())[:EXAMPLES])
            yield Finding(
                severity="error",
                name="secrets",
                message=f"{len(rows):,} rows hold something that has the form of a {kind}",
                rows=shown,
                action="take it out of the rows, and revoke it if it was ever valid",
            )


def check_personal_data(sides: Sides) -> Iterator[Finding]:
    """Addresses and numbers of people: rows are sealed into artifacts as golden samples, and models remember."""
    for part in sides.everything():
        found = _search(part, PERSONAL)
        if found:
            counts = {kind: f"in {len(rows):,} rows" for kind, rows in found.items()}
            rows = np.unique([i for rows in found.values() for i in list(rows)[:EXAMPLES]])
            yield Finding(
                severity="warning",
                name="personal data",
                message=enumerate_items("in texts", counts),
                rows=examples(part, rows),
                action="mask it before training, or make sure that you may keep it",
            )


def _search(part: Dataset, patterns: Sequence[Pattern]) -> dict[str, dict[int, str]]:
    """Return kind -> row -> the first match in its texts."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for values in _text_columns(part).values():
        known: dict[str, list[tuple[str, str]]] = {}
        for text in set(values) - {None}:
            cut = text[:LONGEST]
            matches = ((p.kind, match) for p in patterns if (match := next(p.find(cut), None)))
            if first := list(matches):
                known[text] = first
        for i in np.flatnonzero([value in known for value in values]) if known else ():
            for kind, match in known[values[i]]:
                found[kind].setdefault(int(i), match)
    return dict(found)


def _text_columns(part: Dataset) -> Mapping[str, np.ndarray]:
    return {name: spoken(values) for name, values in part.columns.items() if values.dtype == object}


def check_blanks(sides: Sides) -> Iterator[Finding]:
    """Rows whose free text is blank."""
    for name in sides.texts:
        values = sides.dataset.columns[name]
        rows = np.flatnonzero([value is None or not value.strip() for value in values])
        if len(rows) > BLANK * len(values):
            yield Finding(
                severity="warning",
                name="blank texts",
                message=f"{len(rows):,} of {len(values):,} rows say nothing in {name}",
                rows=examples(sides.dataset, rows),
                action="leave them out, or see what was lost",
            )


def check_slices(sides: Sides) -> Iterator[Finding]:
    """Files and languages that hold one class only: there, where a row comes from tells its label."""
    part = sides.dataset
    slices = {"source": part.source} | {n: v for n, v in part.columns.items() if n in LANGUAGES}
    for by, values in slices.items():
        texts = np.array([str(value) for value in values])
        names, places, rows = np.unique(texts, return_inverse=True, return_counts=True)
        positives = np.bincount(places, part.label == 1, minlength=len(names))
        pure = np.flatnonzero((rows >= SLICE_ROWS) & ((positives == 0) | (positives == rows)))
        if len(names) > 1 and len(pure):
            held = {
                f"{names[i]}": f"({rows[i]:,} rows, all {'positive' if positives[i] else 'negative'})"
                for i in pure
            }
            yield Finding(
                severity="warning",
                name="one-class slices",
                message=enumerate_items(f"each {by} with one class only", held),
                action=f"add rows of the other class, or test on a {by} that training does not have",
            )
