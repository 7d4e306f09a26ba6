"""Checks for rows that do not belong: constant blocks, empty rows, one source unlike the others. Gate F9.

Shapes: N rows, L lively columns (those whose values change often from row to row).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.sides import Sides, enumerate_items, examples, is_missing
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import row_keys, text_keys

RUN, CHANGED = 25, 0.1
"""So many rows in a row, in each of which one lively column changes or at most this share, are a constant block."""
REPEATED = 0.01
"""Share of the rows that one row may be, word for word."""
LIVELY, LEAST_LIVELY = 0.5, 4
"""A column is lively when two rows agree in it with a smaller chance; with fewer such columns rows repeat by nature."""
BY_CHANCE = 50
"""Times that a row must repeat as often as chance alone, if columns were independent."""
UNLIKE = 0.5
"""Share of the columns in which a source is unlike all others, from which its rows are foreign."""
SOURCE_ROWS = 20
NOTHING = frozenset({"", "-", "none", "null", "nan", "n/a", "unknown"})


def check_constant_rows(sides: Sides) -> Iterator[Finding]:
    """Blocks of rows in which hardly anything changes, and rows that are there over and over."""
    for part in sides.everything():
        codes = _lively(part)
        if len(codes) < LEAST_LIVELY:
            continue
        for start, end in _blocks(part, codes):
            message = (
                f"{end - start:,} rows in a row ({part.ids[start]} to {part.ids[end - 1]}) are the same in nearly "
                f"all of {len(codes)} columns that change elsewhere"
            )
            yield _constant(part, np.arange(start, end), message)
        yield from _repeated(part, codes)


def _lively(part: Dataset) -> np.ndarray:
    """Return the lively columns as codes, uint64 [L, N], without those in which rows often agree anyway."""
    codes = [text_keys(v) if v.dtype == object else v + 0.0 for v in part.columns.values()]
    kept = []
    for column in codes:
        places, counts = np.unique(column, return_inverse=True, return_counts=True)[1:]
        if ((counts / len(places)) ** 2).sum() <= LIVELY:
            kept.append(places)
    return np.array(kept, dtype=np.int64).reshape(len(kept), len(part))


def _blocks(part: Dataset, codes: np.ndarray) -> list[tuple[int, int]]:
    """Return (first row, row after the last) of each constant block."""
    same = (codes[:, 1:] != codes[:, :-1]).sum(axis=0) <= max(1, CHANGED * len(codes))
    same &= part.source[1:] == part.source[:-1]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    found = [(int(start), int(end) + 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [(start, end) for start, end in found if end - start >= RUN]


def _repeated(part: Dataset, codes: np.ndarray) -> Iterator[Finding]:
    keys, firsts, counts = np.unique(row_keys(part.columns), return_index=True, return_counts=True)
    most = int(counts.argmax())
    often, first = int(counts[most]), int(firsts[most])
    chance = np.prod([(column == column[first]).mean() for column in codes])
    if often >= max(RUN, REPEATED * len(part)) and often > BY_CHANCE * chance * len(part):
        message = f"{often:,} of {len(part):,} rows are one and the same row"
        yield _constant(part, np.flatnonzero(row_keys(part.columns) == keys[most]), message)


def _constant(part: Dataset, found: np.ndarray, message: str) -> Finding:
    labels = np.unique(part.label[found])
    if len(labels) == 1 and labels[0] >= 0:
        message += f"; all of them are labelled {'positive' if labels[0] else 'negative'}"
    action = "see whether they were measured at all; leave them out if they stand for another file's rows or for none"
    return Finding(
        severity="warning", name="constant rows", message=message, rows=examples(part, found), action=action
    )


def check_empty_rows(sides: Sides) -> Iterator[Finding]:
    """Rows of which every field is missing, zero or a word for nothing."""
    for part in sides.everything():
        if len(part.columns) < LEAST_LIVELY - 1:
            continue
        found = np.flatnonzero(np.all([_says_nothing(v) for v in part.columns.values()], axis=0))
        if len(found):
            message = (
                f"{len(found):,} of {len(part):,} rows hold nothing: every field is missing, zero or a dash"
            )
            action = "leave them out: whatever their label says, nothing was measured"
            yield Finding(
                severity="error",
                name="empty rows",
                message=message,
                rows=examples(part, found),
                action=action,
            )


def _says_nothing(column: np.ndarray) -> np.ndarray:
    if column.dtype == object:
        return np.array([v is None or _is_nothing(v) for v in column], dtype=bool)
    empty: np.ndarray = np.isnan(column) | (column == 0)
    return empty


def _is_nothing(value: str | Sequence[object]) -> bool:
    return value.strip().casefold() in NOTHING if isinstance(value, str) else not value


def check_foreign_sources(sides: Sides) -> Iterator[Finding]:
    """Find a file most of whose columns are constant, or lie outside the range of all other files."""
    part = sides.dataset
    for name in sorted(set(part.source.tolist())):
        here = part.source == name
        if here.sum() < SOURCE_ROWS or (~here).sum() < SOURCE_ROWS:
            continue
        columns = {column: (v[here], v[~here]) for column, v in part.columns.items()}
        for how, test in (
            ("holds one value here and many elsewhere", _is_stuck),
            ("lies outside all else", _is_off),
        ):
            known = {column: test(*values) for column, values in columns.items()}
            judged = {column: odd for column, odd in known.items() if odd is not None}
            odd = [column for column, is_odd in judged.items() if is_odd]
            if len(odd) >= max(2, UNLIKE * len(judged)):
                message = enumerate_items(f"{name} ({here.sum():,} rows)", dict.fromkeys(odd, how), most=5)
                yield Finding(
                    severity="error",
                    name="foreign rows",
                    message=message,
                    rows=examples(part, np.flatnonzero(here)),
                    action="see whether the file is of this kind at all, and its columns of these units",
                )


def _is_stuck(here: np.ndarray, elsewhere: np.ndarray) -> bool | None:
    """Tell whether a column that changes elsewhere does not here; None where it does not elsewhere either."""
    own, other = (values[~is_missing(values)] for values in (here, elsewhere))
    if not len(other) or _top_share(other) > 1 - REPEATED:
        return None
    return not len(own) or _top_share(own) == 1


def _is_off(here: np.ndarray, elsewhere: np.ndarray) -> bool | None:
    """Tell whether nearly all numbers lie above or below nearly all others; None for text."""
    if here.dtype == object:
        return None
    own, other = (values[np.isfinite(values)] for values in (here, elsewhere))
    if not len(own) or not len(other) or other.min() == other.max():
        return None
    (low, high), (least, most) = (np.quantile(values, (0.01, 0.99)) for values in (own, other))
    return bool(low > most or high < least)


def _top_share(values: np.ndarray) -> float:
    counts = np.unique(text_keys(values) if values.dtype == object else values, return_counts=True)[1]
    return float(counts.max() / counts.sum())
