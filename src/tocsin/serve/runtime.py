"""What runs a model: arrays in, arrays out, rows first.

Shapes: B rows.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter
from typing import Protocol

import onnxruntime

from tocsin.artifact.manifest import TensorSpec
from tocsin.core.axes import Axes, run_rows, sizes
from tocsin.core.errors import InputError
from tocsin.core.heads import Head, axes_of
from tocsin.core.types import Arrays
from tocsin.nn.sessions import call, open_session, read_axes

CALL_SECONDS = 0.002
"""One call into the library takes about this long. Longer calls fall out of the processor's caches: a row of
an FT-Transformer costs 1.6 ms alone, 2.4 to 4.6 ms among a hundred. Shorter ones pay for the call itself."""

MOST_ROWS = 256
"""Rows of one call at most, so that the memory of a call is bounded for a model of any speed."""


class Runtime(Protocol):
    """A loaded model. A row's outputs do not depend on the rows beside it."""

    def run(self, arrays: Arrays) -> Arrays:
        """Return the named outputs of all rows; safe to call from several threads."""
        ...

    def tune(self, arrays: Arrays) -> None:
        """Measure one row, and choose how many are run at once."""
        ...


class OnnxRuntime:
    """An ONNX model on one CPU thread. Several threads may run it at the same time."""

    def __init__(
        self,
        model: bytes,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        axes: Axes | None = None,
        heads: Sequence[Head] = (),
    ) -> None:
        self._session = open_session(model)
        _check("input", inputs, self._session.get_inputs())
        _check("output", outputs, self._session.get_outputs())
        self._axes = read_axes(axes or {}, [spec.name for spec in inputs])
        self._heads = axes_of(heads)
        self._places = 1
        self.rows_per_call = 1

    def run(self, arrays: Arrays) -> Arrays:
        """Return the named outputs [B, ...] of the named inputs [B, ...]; a few rows of like length at a time."""
        cells = self.rows_per_call * self._places
        return run_rows(partial(call, self._session), arrays, self._axes, self._heads, cells)

    def tune(self, arrays: Arrays) -> None:
        """Choose rows per call by the time that the first row takes alone; shorter rows are more, longer ones fewer."""
        row = {name: array[:1] for name, array in arrays.items()}
        self.run(row)
        fastest = min(_seconds(self.run, row) for _ in range(3))
        self.rows_per_call = max(1, min(MOST_ROWS, round(CALL_SECONDS / fastest)))
        self._places = int(sizes(arrays, self._axes)[0])


def _seconds(call: Callable[[Arrays], Arrays], row: Arrays) -> float:
    start = perf_counter()
    call(row)
    return perf_counter() - start


def _check(side: str, specs: Sequence[TensorSpec], found: Iterable[onnxruntime.NodeArg]) -> None:
    """Compare what the manifest says with what the model has; InputError names the first difference."""
    stated = {spec.name: (_dtype(spec.dtype), tuple(spec.shape)) for spec in specs}
    actual = {arg.name: (_dtype(arg.type), tuple(arg.shape)) for arg in found}
    if stated.keys() != actual.keys():
        raise InputError(f"model.onnx has the {side}s {sorted(actual)}, the manifest says {sorted(stated)}")
    for name, (dtype, shape) in stated.items():
        if dtype != actual[name][0] or not _fits(shape, actual[name][1]):
            raise InputError(
                f"model.onnx: {side} {name!r} is {actual[name]}, the manifest says {(dtype, shape)}"
            )


def _fits(stated: tuple[int | None, ...], actual: tuple[int | str | None, ...]) -> bool:
    """Tell whether two shapes agree; a free size is None in one and a name or None in the other."""
    return len(stated) == len(actual) and all(
        a == s if isinstance(a, int) else s is None for s, a in zip(stated, actual, strict=True)
    )


def _dtype(onnx_type: str) -> str:
    """`tensor(int64)` -> `int64`; ONNX says float and double for float32 and float64."""
    name = onnx_type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
