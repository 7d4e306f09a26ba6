"""A table over the number of kinds that a text shows, as an ONNX graph. No torch here.

Shapes: B rows, K kinds.
"""

import numpy as np

from tocsin.nn.graphs import Graph


def add_rules(graph: Graph, cues: str, table: np.ndarray) -> str:
    """Add `table[number of kinds]` and return the float64 logit [B]; cues: name of the int32 array [B, K]."""
    number = graph.add("ReduceSum", [cues, graph.hold(np.array([1], dtype=np.int64))], keepdims=0)
    return graph.add("Gather", [graph.hold(table.astype(np.float64)), number])
