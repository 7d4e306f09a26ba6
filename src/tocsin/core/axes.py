"""Axes by name: how rows of unlike size are cut, joined and run, the same for a model's inputs and its outputs.

The first axis of every array is the rows. What follows is a number, or an `Axis` whose size differs from row to row.
Nothing is guessed from padding: an array says how long each row is.

Shapes: B rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.core.types import Arrays, rows, take


@dataclass(frozen=True)
class Axis:
    """An axis whose size differs from row to row.

    Example: `{"edges": (Axis("edges", length="edge_count", pad=-1), 2)}` declares edges [B, E, 2].
    """

    name: str
    length: str
    """Name of the array, int64 [B], that holds each row's own size."""
    pad: float = 0
    """What stands behind a row's end; it must not change an answer."""


Shape = tuple[Axis | int, ...]
"""The axes behind the rows."""

Axes = Mapping[str, Shape]
"""Array -> its axes behind the rows; an array that is not named has the same size in every row."""


def cut(arrays: Arrays, axes: Axes, lengths: Arrays | None = None, multiple: int = 1) -> Arrays:
    """Return the arrays without the padding that no row needs; one place stays.

    lengths: where the arrays of sizes are, if not among `arrays`: an output's are among the inputs.
    multiple: sizes are rounded up to a multiple of it where the array is that long.
    """
    known = arrays if lengths is None else lengths
    found = dict(arrays)
    for name, places in _ragged(arrays, axes):
        index = [slice(None)] * arrays[name].ndim
        for place, axis in places:
            most = max(1, int(known[axis.length].max(initial=1)))
            index[place] = slice(-(-most // multiple) * multiple)
        found[name] = np.ascontiguousarray(arrays[name][tuple(index)])
    return found


def join(parts: Sequence[Arrays], axes: Axes) -> Arrays:
    """Put rows after one another; what is shorter than the longest part is padded as its axis says."""
    if len(parts) == 1:
        return parts[0]
    return {
        name: np.concatenate(_level([part[name] for part in parts], axes.get(name, ()))) for name in parts[0]
    }


def sizes(arrays: Arrays, axes: Axes) -> np.ndarray:
    """Return [B], the size of the longest axis of each row, at least 1."""
    longest = np.ones(rows(arrays), dtype=np.int64)
    for _, places in _ragged(arrays, axes):
        for _, axis in places:
            longest = np.maximum(longest, arrays[axis.length])
    return longest


def run_rows(
    run: Callable[[Arrays], Arrays], arrays: Arrays, axes: Axes, outputs: Axes, cells: int
) -> Arrays:
    """Return the outputs of all rows, in their order, from calls of at most so many rows times places.

    Rows of like size run together, without the padding. A row whose arrays are not ragged is one place. Every call
    has a row at least, and there is a call for no rows.
    """
    calls = list(_groups(sizes(arrays, axes), cells))
    if len(calls) <= 1:
        return run(cut(arrays, axes))
    found = join([run(cut(take(arrays, index), axes)) for index in calls], outputs)
    return take(found, np.argsort(np.concatenate(calls), kind="stable"))


def each_row(outputs: Arrays, axes: Axes, lengths: Arrays) -> Iterator[Arrays]:
    """Yield the outputs of each row, [1, ...], at its own size; `lengths` are the arrays that were asked."""
    for row in range(rows(outputs)):
        index = np.array([row])
        yield cut(take(outputs, index), axes, take(lengths, index))


def _ragged(arrays: Arrays, axes: Axes) -> Iterator[tuple[str, list[tuple[int, Axis]]]]:
    """Yield (array, [(place of an axis, the axis)]) for arrays that differ in size from row to row."""
    for name, shape in axes.items():
        places = [(place, axis) for place, axis in enumerate(shape, start=1) if isinstance(axis, Axis)]
        if places and name in arrays:
            yield name, places


def _level(parts: Sequence[np.ndarray], shape: Shape) -> list[np.ndarray]:
    """Pad arrays to the size of the longest."""
    ragged = [(place, axis) for place, axis in enumerate(shape, start=1) if isinstance(axis, Axis)]
    most = {place: max(part.shape[place] for part in parts) for place, _ in ragged}
    found = list(parts)
    for place, axis in ragged:
        for i, part in enumerate(found):
            missing = [(0, 0)] * part.ndim
            missing[place] = (0, most[place] - part.shape[place])
            found[i] = np.pad(part, missing, constant_values=axis.pad) if missing[place][1] else part
    return found


def _groups(size_B: np.ndarray, cells: int) -> Iterator[np.ndarray]:
    """Yield the rows of each call, shorter ones first; equal sizes stay in their order."""
    order = np.argsort(size_B, kind="stable")
    ordered = size_B[order].tolist()
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * ordered[stop] > cells:
            yield order[start:stop]
            start = stop
