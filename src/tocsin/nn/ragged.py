"""Variable-length rows, zero-padded on the right. Trimming the padding never changes an output.

An input of a model whose second axis is free is ragged. Rows of like length run together, without the padding.

Shapes: B rows, L places.
"""

from collections.abc import Callable, Collection, Iterator

import numpy as np

from tocsin.core.types import Arrays, rows, take


def run_ragged(
    run: Callable[[Arrays], Arrays], arrays: Arrays, ragged: Collection[str], cells: int
) -> Arrays:
    """Return the outputs of all rows, in their order, from calls of at most so many rows times places.

    A row of inputs that are not ragged is one place. Every call has a row at least, and there is a call for no rows.
    """
    calls = list(_groups(places(arrays, ragged), cells))
    if len(calls) <= 1:
        return run(_cut(arrays, ragged))
    parts = [run(_cut(take(arrays, index), ragged)) for index in calls]
    back = np.argsort(np.concatenate(calls), kind="stable")
    return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}


def places(arrays: Arrays, ragged: Collection[str]) -> np.ndarray:
    """Return [B], the places of the longest ragged input of each row, 1 at least."""
    length_B = np.ones(rows(arrays), dtype=np.int64)
    for name in ragged:
        length_B = np.maximum(length_B, _ends(arrays[name]))
    return length_B


def _ends(values_BL: np.ndarray) -> np.ndarray:
    """Return [B], how many places there are up to the last that is not 0."""
    is_used_BL = values_BL[:, ::-1] != 0
    return np.where(is_used_BL.any(axis=1), values_BL.shape[1] - is_used_BL.argmax(axis=1), 0)


def _groups(length_B: np.ndarray, cells: int) -> Iterator[np.ndarray]:
    """Yield the rows of each call, shorter ones first; equal lengths stay in their order."""
    order = np.argsort(length_B, kind="stable")
    sizes = length_B[order].tolist()
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * sizes[stop] > cells:
            yield order[start:stop]
            start = stop


def _cut(arrays: Arrays, ragged: Collection[str]) -> Arrays:
    """Cut the ragged inputs behind their longest row; one place stays."""
    cut = {n: arrays[n][:, : max(1, int(_ends(arrays[n]).max(initial=1)))] for n in ragged}
    return {**arrays, **{name: np.ascontiguousarray(values) for name, values in cut.items()}}
