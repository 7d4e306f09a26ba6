"""Which columns hold free text, and what a row says in all of them. Shapes: N rows."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.types import Columns, column, holds_sequences

LONG = 40
"""Characters that the median value of a column of free text has at least: a name or a code has fewer."""
DISTINCT = 0.1
"""Share of its values that differ at least: what repeats more is a long code, such as a browser's name."""
LOOKED_AT = 10_000

Wanted = Sequence[str] | Literal["auto"]


def text_columns(columns: Columns) -> list[str]:
    """Return the columns that hold texts, free or not; a sequence is none."""
    return [n for n, values in columns.items() if values.dtype == object and not holds_sequences(values)]


def find_texts(columns: Columns, wanted: Wanted = "auto") -> list[str]:
    """Return the columns of free text: those named, or those of long values that mostly differ.

    InputError for a name that is no column of text.
    """
    known = text_columns(columns)
    if wanted == "auto":
        return [name for name in known if is_free_text(columns[name])]
    for name in wanted:
        if name not in known:
            raise InputError(f"split.text: no text column {name!r}{did_you_mean(name, known)}")
    return list(wanted)


def is_free_text(values: np.ndarray) -> bool:
    """Tell whether a text column, object [N], holds free text rather than names or codes."""
    step = max(1, len(values) // LOOKED_AT)
    present = [value for value in values[::step].tolist() if value]
    if not present:
        return False
    return bool(np.median([len(v) for v in present]) >= LONG and len(set(present)) >= DISTINCT * len(present))


def spoken(values: np.ndarray) -> np.ndarray:
    """Return what each value of an object column [N] says: a text itself, of a sequence all texts in it, or None."""
    if not holds_sequences(values):
        return values
    return column(["\n".join(_texts_in(value)) or None for value in values], numeric=False)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _texts_in(part)


def join_texts(columns: Columns, names: Sequence[str]) -> list[str]:
    """Return what each row says, its free texts under one another; a missing one is left out."""
    return ["\n".join(filter(None, row)) for row in zip(*(columns[name] for name in names), strict=True)]
