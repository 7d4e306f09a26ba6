"""A linear model of character n-grams as an ONNX graph, in the steps of `features/letters.py`. No torch here.

Shapes: B rows, C places for letters.
"""

import numpy as np
from onnx import TensorProto

from tocsin.features.letters import BUCKETS, CODES, FACTOR, LONGEST, PRIME, SALTS
from tocsin.nn.graphs import Graph


def add_ngrams(graph: Graph, letters: str, weights: np.ndarray, bias: float) -> str:
    """Add `bias + sum of weights / root of their number` over the marked n-grams; return the float64 logit [B].

    letters: name of the int32 array [B, C]; weights: float32 [BUCKETS].
    """
    packed = graph.add("Cast", [letters], to=TensorProto.INT64)
    code, marks = (graph.add(operator, [packed, _hold(graph, CODES)]) for operator in ("Mod", "Div"))
    table, last = graph.hold(weights.astype(np.float32)), graph.hold(np.array([1], dtype=np.int64))
    hashed, sums, counts = graph.add("Mul", [code, _hold(graph, 0)]), [], []
    for length in range(1, LONGEST + 1):
        ahead = _ahead(graph, code, length - 1)
        raised = graph.add("Mul", [hashed, _hold(graph, FACTOR)])
        raised = graph.add("Add", [graph.add("Add", [raised, ahead]), _hold(graph, 1)])
        hashed = graph.add("Mod", [raised, _hold(graph, PRIME)])
        salted = graph.add("Mul", [hashed, _hold(graph, SALTS[length - 1])])
        bucket = graph.add("Mod", [graph.add("Mod", [salted, _hold(graph, PRIME)]), _hold(graph, BUCKETS)])
        shifted = graph.add("Div", [marks, _hold(graph, 1 << (length - 1))])
        counted = graph.add("Cast", [graph.add("Mod", [shifted, _hold(graph, 2)])], to=TensorProto.DOUBLE)
        worth = graph.add("Cast", [graph.add("Gather", [table, bucket])], to=TensorProto.DOUBLE)
        sums.append(graph.add("ReduceSum", [graph.add("Mul", [worth, counted]), last], keepdims=0))
        counts.append(graph.add("ReduceSum", [counted, last], keepdims=0))
    total, number = graph.add("Sum", sums), graph.add("Sum", counts)
    root = graph.add("Sqrt", [graph.add("Max", [number, graph.hold(np.array(1.0))])])
    return graph.add("Add", [graph.add("Div", [total, root]), graph.hold(np.array(bias, dtype=np.float64))])


def _hold(graph: Graph, value: int) -> str:
    return graph.hold(np.array(value, dtype=np.int64))


def _ahead(graph: Graph, code: str, by: int) -> str:
    """Return what stands `by` places further on; 0 behind the last place."""
    if not by:
        return code
    padded = graph.add("Pad", [code, graph.hold(np.array([0, 0, 0, by], dtype=np.int64))])
    ends = [np.array([n], dtype=np.int64) for n in (by, np.iinfo(np.int64).max, 1)]
    return graph.add("Slice", [padded, *map(graph.hold, ends)])
