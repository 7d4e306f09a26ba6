"""Near-duplicates: which rows must stay on one side of a split, because they say the same.

Every kind of likeness is one array of keys per row, and rows that share a key in any of them are one cluster:
rounded rows, free texts that are alike, groups. Shapes: N rows.
"""

from collections.abc import Sequence

import numpy as np

from tocsin.core.types import Columns
from tocsin.data.fingerprint import row_keys
from tocsin.data.minhash import cluster_texts
from tocsin.data.texts import Wanted, find_texts, join_texts

_LEAST = -330
_POWERS = np.array([float(f"1e{k}") for k in range(_LEAST, 312)])
_FLOOR = -280
"""Decimal exponent below which numbers are rounded as if they were that large."""


def near_duplicates(columns: Columns, digits: int, text: Wanted = "auto") -> np.ndarray:
    """Return keys, uint64 [N]: equal where rows agree with numbers rounded to `digits` significant digits.

    Where there are columns of free text, rows whose texts are near-duplicates have equal keys too, whatever their
    other fields say. A copy whose numbers were jittered is missed where one of them crosses a rounding boundary.
    """
    alike = {k: v if v.dtype == object else round_significant(v, digits) for k, v in columns.items()}
    keys, texts = row_keys(alike), find_texts(columns, text)
    if not texts:
        return keys
    return connect([keys, cluster_texts(join_texts(columns, texts))], len(keys)).astype(np.uint64)


def round_significant(values: np.ndarray, digits: int) -> np.ndarray:
    """Round float64 [N] to significant digits; NaN, infinities and 0 stay.

    The logarithm is a first guess that comparisons put right, so that every platform rounds alike.
    """
    sound = np.isfinite(values) & (values != 0)
    size = np.where(sound, np.abs(values), 1.0)
    exponent = np.floor(np.log10(size)).astype(np.int64)
    exponent -= size < _power(exponent)
    exponent += size >= _power(exponent + 1)
    exponent = np.maximum(exponent, _FLOOR)
    kept = np.rint(size / _power(exponent - digits + 1))
    carried = kept == 10**digits  # 9.996 is 10.0 and must come out as 10.0 itself does
    kept, exponent = np.where(carried, 10 ** (digits - 1), kept), exponent + carried
    with np.errstate(over="ignore"):
        return np.where(sound, np.copysign(kept * _power(exponent - digits + 1), values), values)


def _power(exponent: np.ndarray) -> np.ndarray:
    powers: np.ndarray = _POWERS[exponent - _LEAST]
    return powers


def connect(keys: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Return the cluster of each row, int64 [N]: rows that share a key in any of the arrays share a cluster.

    Clusters are numbered by their first row. Each round every row takes the smallest row known to any that
    shares a key with it, then that row's own: long chains close in a logarithmic number of rounds.
    """
    likenesses = [np.unique(key, return_inverse=True)[1] for key in keys]
    least = np.arange(size)
    while True:
        before = least
        for code in likenesses:
            smallest = np.full(size, size)
            np.minimum.at(smallest, code, least)
            least = smallest[code]
        least = least[least]
        if np.array_equal(before, least):
            return np.unique(least, return_inverse=True)[1]
