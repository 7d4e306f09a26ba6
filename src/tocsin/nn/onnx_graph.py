"""ONNX graphs put together by hand: for models that do not come from PyTorch. No torch here.

Shapes: B rows, F features.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tocsin.core.axes import Axes, Axis, Shape
from tocsin.core.errors import InputError
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
    """Nodes and constants in the making; every name that it gives begins with its prefix.

    parts: how the arrays become the matrix of flat features, for models that read it.
    """

    def __init__(self, prefix: str, parts: Sequence[FlatPart] = ()) -> None:
        self.prefix = prefix
        self.parts = parts
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> str:
        """Add a node with one output and return the output's name; numpy arrays become tensors."""
        output = f"{self.prefix}.{len(self.nodes)}"
        known = {
            name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for name, value in (attributes or {}).items()
        }
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **known))
        return output

    def cast(self, value: str, kind: str) -> str:
        """Change the type of a value to one of KINDS."""
        return self.add("Cast", [value], {"to": KINDS[kind]})

    def hold(self, values: np.ndarray) -> str:
        """Add a constant and return its name."""
        name = f"{self.prefix}.c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def name(self, value: str, output: str) -> None:
        """Give a value the name of an output of the model."""
        self.nodes.append(helper.make_node("Identity", [value], [output]))

    @cached_property
    def matrix(self) -> str:
        """What `flatten` returns, as the float64 matrix [B, F] with NaN for missing; it is added once.

        InputError where the graph was given no parts.
        """
        if not self.parts:
            raise InputError(
                f"{self.prefix} reads flat features, and these arrays cannot be flattened in a graph"
            )
        nothing = self.hold(np.array(np.nan, dtype=np.float64))
        columns = []
        for part in self.parts:
            values = self.cast(self.cast(part.array, "float32"), "float64")
            for code in part.missing:
                same = self.add("Equal", [part.codes, self.hold(np.array(code, dtype=np.int64))])
                values = self.add("Where", [same, nothing, values])
            columns.append(values)
        return self.add("Concat", columns, {"axis": 1}) if len(columns) > 1 else columns[0]


def build_model(graph: Graph, arrays: Arrays, logit: str, axes: Axes | None = None) -> bytes:
    """Return a model whose inputs are the arrays that its nodes read, and whose one output is `logit` [B], float32.

    logit: name of a float64 value [B]. The arrays tell names, types and widths; `axes` which of these are free.
    """
    read = {name for node in graph.nodes for name in node.input}
    graph.name(graph.cast(logit, "float32"), LOGIT)
    inputs = [
        helper.make_tensor_value_info(
            name, KINDS[str(values.dtype)], _shape(values, free_axes((axes or {}).get(name, ())))
        )
        for name, values in arrays.items()
        if name in read
    ]
    outputs = [helper.make_tensor_value_info(LOGIT, TensorProto.FLOAT, [ROWS])]
    proto = helper.make_graph(graph.nodes, graph.prefix, inputs, outputs, graph.constants)
    return _finish(helper.make_model(proto, ir_version=IR))


def _shape(values: np.ndarray, free: Free) -> list[int | str]:
    return [free.get(axis, size) if axis else ROWS for axis, size in enumerate(values.shape)]


def add_logits(models: Sequence[bytes], factors: Sequence[float]) -> bytes:
    """Return the model whose logit is the sum of the models' logits, each times its factor.

    Its inputs are all inputs of the models: what several read is one input. Their inner names differ. The first's
    other outputs stay. InputError where two models read an input as different types.
    """
    protos = [onnx.load_from_string(model) for model in models]
    mix = Graph("mean")
    scaled = []
    for i, (proto, factor) in enumerate(zip(protos, factors, strict=True)):
        own = f"{LOGIT}.{i}"
        _rename(proto.graph, {LOGIT: own})
        wide = mix.cast(own, "float64")
        scaled.append(mix.add("Mul", [wide, mix.hold(np.array(factor, dtype=np.float64))]))
    mix.name(mix.cast(mix.add("Sum", scaled), "float32"), LOGIT)
    first, *others = protos
    for proto in others:
        _join_inputs(first.graph, proto.graph)
        first.graph.node.extend(proto.graph.node)
        first.graph.initializer.extend(proto.graph.initializer)
    first.graph.node.extend(mix.nodes)
    first.graph.initializer.extend(mix.constants)
    _rename_outputs(first.graph, {f"{LOGIT}.0": LOGIT})
    return _finish(first)


def _join_inputs(graph: onnx.GraphProto, other: onnx.GraphProto) -> None:
    """Add the inputs of another graph that are not there yet."""
    known = {given.name: given.type.tensor_type.elem_type for given in graph.input}
    for given in other.input:
        if given.name not in known:
            graph.input.append(given)
        elif given.type.tensor_type.elem_type != known[given.name]:
            raise InputError(f"the models that are averaged read {given.name} as different types")


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
