"""The refusal of external data, held against the onnx package and against ONNX Runtime."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

from artifact.examples import model
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.wire import CHILDREN, check_model


def test_the_field_numbers_are_those_of_onnx():
    """An oracle: every way from a model to a tensor, by onnx's own description of itself."""
    found: dict[str, dict[int, str]] = {}

    def leads_to_tensor(kind: Descriptor, path: tuple[str, ...] = ()) -> bool:
        if kind.name == "TensorProto":
            return True
        return any(
            leads_to_tensor(child, (*path, kind.name))
            for _, child in children(kind)
            if child.name not in path
        )

    def visit(kind: Descriptor) -> None:
        if kind.name not in found:
            ways = {number: child for number, child in children(kind) if leads_to_tensor(child)}
            found[kind.name] = {number: child.name for number, child in ways.items()}
            for child in ways.values():
                visit(child)

    def children(kind: Descriptor) -> list[tuple[int, Descriptor]]:
        return [(f.number, f.message_type) for f in kind.fields if f.type == FieldDescriptor.TYPE_MESSAGE]

    visit(ModelProto.DESCRIPTOR)
    assert {kind: dict(ways) for kind, ways in CHILDREN.items()} == found
    fields = TensorProto.DESCRIPTOR.fields_by_name
    assert (fields["external_data"].number, fields["data_location"].number) == (13, 14)


def test_a_model_with_its_weights_inside_passes():
    check_model("model.onnx", model())


def outside() -> TensorProto:
    tensor = TensorProto(name="w", data_type=1, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    return tensor


def in_initializer(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.initializer.append(tensor)


def in_sparse_values(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.sparse_initializer.add().values.CopyFrom(tensor)


def in_sparse_indices(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.sparse_initializer.add().indices.CopyFrom(tensor)


def in_constant(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_tensors(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.node.append(NodeProto(attribute=[AttributeProto(tensors=[tensor])]))


def in_branch(proto: ModelProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    deeper = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=branch)], "outer", [], [])
    proto.graph.node.append(helper.make_node("If", ["x"], ["y"], else_branch=deeper))


def in_function(proto: ModelProto, tensor: TensorProto) -> None:
    proto.functions.add().node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_function_default(proto: ModelProto, tensor: TensorProto) -> None:
    proto.functions.add().attribute_proto.append(AttributeProto(name="a", t=tensor))


def in_training(proto: ModelProto, tensor: TensorProto) -> None:
    proto.training_info.add().algorithm.initializer.append(tensor)


PLACES = [
    in_initializer, in_sparse_values, in_sparse_indices, in_constant, in_tensors, in_branch, in_function,
    in_function_default, in_training,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_it_is(place: Callable[[ModelProto, TensorProto], None]):
    proto = onnx.load_from_string(model())
    place(proto, outside())
    with pytest.raises(ArtifactError) as refused:
        check_model("model.onnx", proto.SerializeToString())
    assert refused.value.code == "external-data"


def test_half_a_reference_is_enough():
    for tensor in (
        TensorProto(data_location=TensorProto.EXTERNAL),
        TensorProto(external_data=outside().external_data),
    ):
        proto = onnx.load_from_string(model())
        proto.graph.initializer.append(tensor)
        with pytest.raises(ArtifactError, match="another file"):
            check_model("model.onnx", proto.SerializeToString())


def test_onnx_runtime_would_have_read_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Why this is needed: a model loaded from bytes still reads from the working directory."""
    np.arange(300, dtype=np.float32).tofile(tmp_path / "w.bin")
    monkeypatch.chdir(tmp_path)
    tensor = outside()
    tensor.dims[0] = 300
    tensor.external_data.add(key="length", value="1200")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "add",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [300])],
        [tensor],
    )
    raw = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.zeros(300, np.float32)})[0][-1] == 299
    with pytest.raises(ArtifactError, match="another file"):
        check_model("model.onnx", raw)


def varint(value: int, width: int = 1) -> bytes:
    out = bytearray()
    while value > 0x7F or len(out) < width - 1:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def test_a_reference_in_unusual_encoding_is_found():
    """Numbers written longer than need be, which protobuf reads all the same, and onnx too."""
    pair = b"\x0a" + varint(8, 3) + b"location" + b"\x12" + varint(5, 2) + b"w.bin"
    tensor = b"\x6a" + varint(len(pair), 4) + pair + b"\x70" + varint(1, 5)
    graph = b"\x2a" + varint(len(tensor), 3) + tensor
    raw = model() + b"\x3a" + varint(len(graph), 3) + graph
    assert onnx.load_from_string(raw).graph.initializer[-1].external_data[0].key == "location"
    with pytest.raises(ArtifactError) as refused:
        check_model("model.onnx", raw)
    assert refused.value.code == "external-data"


@pytest.mark.parametrize("raw", [
    b"", b"\x00", b"\x3a", b"\x3a\x05", b"\x3b", b"\xff" * 11, b"text", model()[:-1],
    b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
])  # fmt: skip
def test_what_is_no_model_is_refused(raw: bytes):
    with pytest.raises(ArtifactError) as refused:
        check_model("model.onnx", raw)
    assert refused.value.code == "model-malformed"


def test_the_runtimes_own_format_is_refused():
    raw = model()
    with pytest.raises(ArtifactError, match="own format"):
        check_model("model.onnx", raw[:4] + b"ORTM" + raw[8:])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_passed_never_worse(raw: bytes):
    assert outcome(b"\x3a\x00" + raw) in ("accepted", "model-malformed", "external-data")


def outcome(raw: bytes) -> str:
    try:
        check_model("model.onnx", raw)
    except ArtifactError as error:
        return error.code
    return "accepted"


def refuse_what_onnx_sees(count: int) -> int:
    """Mutate a model that points outside: where onnx sees the reference, so must we. Return how often."""
    proto = onnx.load_from_string(model())
    in_branch(proto, outside())
    in_initializer(proto, outside())
    raw, rng, seen = proto.SerializeToString(), random.Random(8), 0
    for _ in range(count):
        changed = bytearray(raw)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        if is_external(bytes(changed)):
            seen += 1
            with pytest.raises(ArtifactError):
                check_model("model.onnx", bytes(changed))
    return seen


def is_external(raw: bytes) -> bool:
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    try:
        return any(uses_external_data(tensor) for tensor in _get_all_tensors(onnx.load_from_string(raw)))
    except (DecodeError, UnicodeDecodeError, AttributeError):
        return False


def test_mutated_references_are_found():
    assert refuse_what_onnx_sees(3000) > 300


@pytest.mark.release
@pytest.mark.timeout(3600)
def test_many_mutated_references_are_found():
    assert refuse_what_onnx_sees(1_000_000) > 100_000
