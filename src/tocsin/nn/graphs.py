"""ONNX graphs put together by hand: for models that do not come from PyTorch. No torch here.

Shapes: B rows, F features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tocsin.core.axes import Axes, Axis, Shape
from tocsin.core.flat import FlatPart
from tocsin.core.types import Arrays

OPSET, ML_OPSET, IR = 20, 5, 10
ROWS = "rows"
ML = "ai.onnx.ml"
KINDS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}
LOGIT = "logit"

Free = dict[int, str]
"""Axis -> name of its free size; equal names are equal sizes."""


def free_axes(shape: Shape) -> Free:
    """Return the free axes behind the rows."""
    return {place: axis.name for place, axis in enumerate(shape, start=1) if isinstance(axis, Axis)}


class Graph:
    """Nodes and constants in the making; every name that it gives begins with its prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        output = f"{self.prefix}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def hold(self, values: np.ndarray) -> str:
        """Add a constant and return its name."""
        name = f"{self.prefix}.c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def name(self, value: str, output: str) -> None:
        """Give a value the name of an output of the model."""
        self.nodes.append(helper.make_node("Identity", [value], [output]))


def add_matrix(graph: Graph, parts: Sequence[FlatPart]) -> str:
    """Add what `flatten` does, and return the float64 matrix [B, F] with NaN for missing."""
    nothing = graph.hold(np.array(np.nan, dtype=np.float64))
    columns = []
    for part in parts:
        values = graph.add("Cast", [part.array], to=TensorProto.FLOAT)
        values = graph.add("Cast", [values], to=TensorProto.DOUBLE)
        for code in part.missing:
            same = graph.add("Equal", [part.codes, graph.hold(np.array(code, dtype=np.int64))])
            values = graph.add("Where", [same, nothing, values])
        columns.append(values)
    return graph.add("Concat", columns, axis=1) if len(columns) > 1 else columns[0]


def build_model(graph: Graph, arrays: Arrays, logit: str, axes: Axes | None = None) -> bytes:
    """Return a model with the arrays as named inputs and one output `logit` [B], float32.

    logit: name of a float64 value [B]. The arrays tell names, types and widths; `axes` which of these are free.
    """
    graph.name(graph.add("Cast", [logit], to=TensorProto.FLOAT), LOGIT)
    inputs = [
        helper.make_tensor_value_info(
            name, KINDS[str(values.dtype)], _shape(values, free_axes((axes or {}).get(name, ())))
        )
        for name, values in arrays.items()
    ]
    outputs = [helper.make_tensor_value_info(LOGIT, TensorProto.FLOAT, [ROWS])]
    proto = helper.make_graph(graph.nodes, graph.prefix, inputs, outputs, graph.constants)
    return _finish(helper.make_model(proto, ir_version=IR))


def _shape(values: np.ndarray, free: Free) -> list[int | str]:
    return [free.get(axis, size) if axis else ROWS for axis, size in enumerate(values.shape)]


def add_logits(models: Sequence[bytes], factors: Sequence[float]) -> bytes:
    """Return the model whose logit is the sum of the models' logits, each times its factor.

    Its inputs are those of all models; their inner names differ. The first's other outputs stay.
    """
    protos = [onnx.load_from_string(model) for model in models]
    mix = Graph("mean")
    scaled = []
    for i, (proto, factor) in enumerate(zip(protos, factors, strict=True)):
        own = f"{LOGIT}.{i}"
        _rename(proto.graph, {LOGIT: own})
        wide = mix.add("Cast", [own], to=TensorProto.DOUBLE)
        scaled.append(mix.add("Mul", [wide, mix.hold(np.array(factor, dtype=np.float64))]))
    mix.name(mix.add("Cast", [mix.add("Sum", scaled)], to=TensorProto.FLOAT), LOGIT)
    first, *others = protos
    for proto in others:
        known = {node.name for node in first.graph.input}
        first.graph.input.extend(node for node in proto.graph.input if node.name not in known)
        first.graph.node.extend(proto.graph.node)
        first.graph.initializer.extend(proto.graph.initializer)
    first.graph.node.extend(mix.nodes)
    first.graph.initializer.extend(mix.constants)
    _rename_outputs(first.graph, {f"{LOGIT}.0": LOGIT})
    return _finish(first)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename values wherever they are made, used, or given out."""
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    _rename_outputs(graph, names)


def _rename_outputs(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for output in graph.output:
        output.name = names.get(output.name, output.name)


def _finish(proto: onnx.ModelProto) -> bytes:
    """Serialise deterministically, after the checker has seen it."""
    del proto.opset_import[:]
    proto.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)])
    proto.producer_name, proto.producer_version = "tocsin", ""
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
