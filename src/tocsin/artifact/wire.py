"""Just enough of protobuf to see that an ONNX model brings all its weights with it.

ONNX Runtime resolves external data against the working directory even when it loads a model from bytes, `..`
included (tried with 1.31), so that a sealed model could read a file that nobody sealed. The `onnx` package is
not installed where models are served.
Source: https://protobuf.dev/programming-guides/encoding, onnx/onnx.proto.
"""

from collections.abc import Iterator
from types import MappingProxyType

from tocsin.artifact.refusal import ArtifactError

CHILDREN = MappingProxyType({
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto",
        22: "SparseTensorProto", 23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
})  # fmt: skip
"""Message -> field number -> message, for every way from a model to a tensor."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_GRAPH = 7
_ORT_FORMAT = b"ORTM"


def check_model(name: str, model: bytes) -> None:
    """Raise ArtifactError unless the bytes are an ONNX model without external data."""
    if model[4:8] == _ORT_FORMAT:
        raise ArtifactError(f"{name} is in ONNX Runtime's own format, not ONNX", "model-malformed")
    try:
        is_external = _is_external(memoryview(model))
    except (IndexError, ValueError):
        raise ArtifactError(f"{name} is not an ONNX model", "model-malformed") from None
    if is_external:
        raise ArtifactError(f"{name} keeps weights in another file", "external-data")


def _is_external(model: memoryview) -> bool:
    """Tell whether a tensor points outside; ValueError or IndexError if it is no model."""
    if not any(number == _GRAPH for number, _ in _fields(model)):
        raise ValueError("no graph")
    todo = [("ModelProto", model)]
    while todo:
        kind, message = todo.pop()
        for number, value in _fields(message):
            child = CHILDREN[kind].get(number)
            if child and isinstance(value, memoryview):
                todo.append((child, value))
            elif kind == "TensorProto" and _points_outside(number, value):
                return True
    return False


def _points_outside(number: int, value: int | memoryview) -> bool:
    return number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, number or bytes)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field 0")
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("varint of more than 10 bytes")
