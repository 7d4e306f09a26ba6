"""Which columns hold free text, and what a row says in all of them. Shapes: N rows."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.types import Columns

LONG = 40
"""Characters that the median value of a column of free text has at least: a name or a code has fewer."""
DISTINCT = 0.1
"""Share of its values that differ at least: what repeats more is a long code, such as a browser's name."""
LOOKED_AT = 10_000

Wanted = Sequence[str] | Literal["auto"]


def find_texts(columns: Columns, wanted: Wanted = "auto") -> list[str]:
    """Return the columns of free text: those named, or those of long values that mostly differ.

    InputError for a name that is no column of text.
    """
    known = [name for name, values in columns.items() if values.dtype == object]
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


def join_texts(columns: Columns, names: Sequence[str]) -> list[str]:
    """Return what each row says, its free texts under one another; a missing one is left out."""
    return ["\n".join(filter(None, row)) for row in zip(*(columns[name] for name in names), strict=True)]
