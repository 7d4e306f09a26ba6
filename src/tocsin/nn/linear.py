"""An additive model as an ONNX graph: a line for each number, a table for each code. No torch here.

The lines and tables are read off the fitted model itself, one feature moved at a time, so that no detail of a
pipeline (filling, flagging, scaling, one-hot codes, rare codes) has to be written twice. The caller's parity gate
shows that the model is additive.

Shapes: B rows, F features, K codes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from tocsin.nn.graphs import Graph

Decide = Callable[[np.ndarray], np.ndarray]
"""float64 [B, F] with NaN for missing -> logit [B]."""


def add_additive(graph: Graph, matrix: str, decide: Decide, categorical: Sequence[bool], codes: int) -> str:
    """Add an additive model and return the float64 logit [B].

    matrix: name of the float64 matrix [B, F]; codes: how many codes K any feature may have: what lies beyond is
    answered like the last, so one more than training saw makes it the unknown.
    """
    flags = np.array(categorical, dtype=bool)
    base = np.zeros((1, len(flags)))
    bias = float(decide(base)[0])
    moved = np.repeat(base, len(flags), axis=0)
    places = np.arange(len(flags))
    moved[places, places] = 1.0
    slope = np.where(flags, 0.0, decide(moved) - bias)
    moved[places, places] = np.nan
    absent = decide(moved) - bias
    is_absent = graph.add("IsNaN", [matrix])
    present = graph.add("Where", [is_absent, graph.hold(np.zeros(1)), matrix])
    lines = graph.add("Mul", [present, graph.hold(slope)])
    worth = graph.add("Where", [is_absent, graph.hold(absent), lines])
    if flags.any():
        looked_up = _look_up(graph, present, _tables(decide, flags, codes, bias))
        worth = graph.add("Add", [worth, graph.add("Where", [is_absent, graph.hold(np.zeros(1)), looked_up])])
    summed = graph.add("ReduceSum", [worth, graph.hold(np.array([1], dtype=np.int64))], keepdims=0)
    return graph.add("Add", [summed, graph.hold(np.array(bias, dtype=np.float64))])


def _tables(decide: Decide, flags: np.ndarray, codes: int, bias: float) -> np.ndarray:
    """Return what each code adds, [F, K]; zeros for numbers."""
    tables = np.zeros((len(flags), codes))
    for i in np.flatnonzero(flags):
        rows = np.zeros((codes, len(flags)))
        rows[:, i] = np.arange(codes)
        tables[i] = decide(rows) - bias
    return tables


def _look_up(graph: Graph, present: str, tables: np.ndarray) -> str:
    """Look every value's code up in the table of its feature: [B, F] -> [B, F]."""
    features, codes = tables.shape
    lowest, highest = graph.hold(np.array(0.0)), graph.hold(np.array(codes - 1.0))
    code = graph.add("Cast", [graph.add("Clip", [present, lowest, highest])], to=TensorProto.INT64)
    place = graph.add("Add", [code, graph.hold(np.arange(features, dtype=np.int64) * codes)])
    return graph.add("Gather", [graph.hold(tables.ravel()), place])
