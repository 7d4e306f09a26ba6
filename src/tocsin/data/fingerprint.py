"""Hashes of rows: keys that do not depend on order, process or platform, and the fingerprint of a division.

Shapes: N rows.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b, sha256

import numpy as np

from tocsin.core.types import Columns
from tocsin.data.dataset import Dataset


def mix(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Scramble uint64 [N] to uint64 [N], one to one, so that neighbours land far apart.

    Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
    """
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def text_keys(values: Iterable[object]) -> np.ndarray:
    """Return one uint64 per value [N]; equal texts, and all that are missing, have equal keys."""
    known: dict[object, int] = {None: 0}
    listed = list(values)
    for value in set(listed) - {None}:
        digest = blake2b(str(value).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        known[value] = int.from_bytes(digest, "little")
    return np.array([known[value] for value in listed], dtype=np.uint64)


def number_keys(values: np.ndarray) -> np.ndarray:
    """Return one uint64 per float64 [N]; 0 and -0 are equal, and so are all NaN."""
    plain = values.astype(np.float64) + 0.0
    return np.where(np.isnan(plain), np.float64("nan"), plain).view(np.uint64)


def row_keys(columns: Columns) -> np.ndarray:
    """Return one uint64 per row [N]: equal for rows with equal fields, and in practice only for them."""
    out = np.zeros(len(next(iter(columns.values()))), dtype=np.uint64)
    for name in sorted(columns):
        values = columns[name]
        out = mix(out ^ (text_keys(values) if values.dtype == object else number_keys(values)))
    return out


def fingerprint(dataset: Dataset, parts: Sequence[np.ndarray] = (), others: Sequence[Dataset] = ()) -> str:
    """Return the sha256 over the names of the fields, every row's id, truth and content, and the division."""
    digest = sha256()
    for rows in (dataset, *others):
        texts = ("", *rows.columns, "", *rows.ids, "", *rows.category)
        digest.update("\0".join(texts).encode("utf-8", "surrogatepass"))
        digest.update(rows.label.astype("<i8").tobytes())
        digest.update(row_keys(rows.columns).astype("<u8").tobytes())
        digest.update(_other_truth(rows))
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
    return digest.hexdigest()


def content_fingerprint(dataset: Dataset) -> str:
    """Return the sha256 over the names of the fields and every row's truth and content, in their order.

    Where a row stood in which file does not count, so that rows can be known again in a file of their own.
    """
    digest = sha256("\0".join((*dataset.columns, "", *dataset.category)).encode("utf-8", "surrogatepass"))
    digest.update(dataset.label.astype("<i8").tobytes())
    digest.update(row_keys(dataset.columns).astype("<u8").tobytes() + _other_truth(dataset))
    return digest.hexdigest()


def _other_truth(dataset: Dataset) -> bytes:
    """Return the keys of what the truth says beside label and category, such as spans; b"" where it says no more."""
    others = {n: values for n, values in dataset.truth.items() if n not in ("label", "category")}
    return row_keys(others).astype("<u8").tobytes() if others else b""
