"""Samples that are added to a CSV file: which of them say something new.

A new row is left out when it repeats one that is there, or one before it, exactly or nearly. Shapes: N rows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tocsin.core.errors import InputError
from tocsin.data.clusters import near_duplicates
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import row_keys
from tocsin.data.sources import concatenate

DIGITS = 3


@dataclass(frozen=True)
class Repeat:
    """A new row that says what another says already."""

    row: str
    """`file:line`"""
    of: str
    kind: Literal["exact", "near"]
    is_disputed: bool = False
    """Whether the two, being nearly alike, are labelled differently: somebody should look."""


def find_repeats(old: Dataset, new: Dataset) -> list[Repeat]:
    """Return which new rows repeat an old one or a new one before them, in their order.

    InputError when two rows are equal and their labels are not: one of them is wrong.
    """
    both = concatenate([old, new])
    exact = _first(row_keys(both.columns))
    near = _first(near_duplicates(both.columns, DIGITS))
    found = []
    for row in range(len(old), len(both)):
        if exact[row] < row:
            _check_labels(both, row, int(exact[row]))
            found.append(Repeat(both.ids[row], both.ids[exact[row]], "exact"))
        elif near[row] < row:
            is_disputed = bool(both.label[row] != both.label[near[row]])
            found.append(Repeat(both.ids[row], both.ids[near[row]], "near", is_disputed))
    return found


def _check_labels(both: Dataset, row: int, other: int) -> None:
    if both.label[row] != both.label[other]:
        said = {0: "negative", 1: "positive", -1: "unlabelled"}
        raise InputError(
            f"{both.ids[row]}: labelled {said[int(both.label[row])]}, but {both.ids[other]} says the same "
            f"and is labelled {said[int(both.label[other])]}"
        )


def _first(keys: np.ndarray) -> np.ndarray:
    """Return for each row, int64 [N], the first row with its key: itself where the key is new."""
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    found: np.ndarray = first[code]
    return found
