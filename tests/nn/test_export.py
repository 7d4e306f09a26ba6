"""Export, parity and int8. The small model has named inputs and outputs, as every detector's has."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.artifact.wire import check_model
from tocsin.core.axes import Axes, Axis, cut
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.heads import LOGIT, Head, axes_of
from tocsin.core.types import Arrays, take
from tocsin.nn.export import OPSET, export_onnx, frozen, parity, quantize, sized
from tocsin.nn.sessions import call, open_session, score

HEADS = (LOGIT, Head("category", "kinds", (3,)))
OUTPUTS = tuple(head.name for head in HEADS)


class Classifier(nn.Module):
    """Numbers and codes in, one logit and three categories out; `unused` is ignored, `head` is of no use."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.numbers, self.codes = nn.Linear(5, width), nn.Embedding(11, width)
        self.dropout = nn.Dropout(0.5)
        self.logit, self.category, self.head = nn.Linear(width, 1), nn.Linear(width, 3), nn.Linear(width, 50)

    def forward(self, numeric: Tensor, codes: Tensor, unused: Tensor) -> dict[str, Tensor]:
        x_BD = self.dropout(F.relu(self.numbers(numeric) + self.codes(codes).sum(1)))
        return {
            "pretraining": self.head(x_BD),
            "category": self.category(x_BD),
            "logit": self.logit(x_BD)[:, 0],
        }


def arrays(rows: int, seed: int = 0) -> Arrays:
    """Codes first: the order differs from that of `forward`."""
    rng = np.random.default_rng(seed)
    return {
        "codes": rng.integers(0, 11, (rows, 4)),
        "unused": np.zeros((rows, 0), dtype=np.float32),
        "numeric": rng.normal(size=(rows, 5)).astype(np.float32),
    }


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier()


@pytest.fixture(scope="module")
def model() -> Classifier:
    return classifier()


@pytest.fixture(scope="module")
def exported(model: Classifier) -> bytes:
    return export_onnx(model, arrays(4), OUTPUTS)


def answer(exported: bytes, inputs: Arrays) -> Arrays:
    return call(open_session(exported), inputs)


def test_inputs_and_outputs_have_their_names(exported: bytes):
    session = open_session(exported)
    assert {node.name: node.shape for node in session.get_inputs()} == {
        "codes": ["rows", 4], "unused": ["rows", 0], "numeric": ["rows", 5],
    }  # fmt: skip
    assert {node.name: node.shape for node in session.get_outputs()} == {
        "logit": ["rows"],
        "category": ["rows", 3],
    }
    assert [entry.version for entry in onnx.load_from_string(exported).opset_import] == [OPSET]


def test_it_answers_what_pytorch_answers(model: Classifier, exported: bytes):
    gaps = parity(model, exported, sized(arrays(300), {}), 1e-6, HEADS)
    assert list(gaps) == ["1", "2", "7", "100", "300"]
    assert 0 < max(gaps.values()) < 1e-6


def test_a_row_alone_answers_as_among_others(exported: bytes):
    together = answer(exported, arrays(50))
    for row in (0, 17, 49):
        alone = answer(exported, {name: values[row : row + 1] for name, values in arrays(50).items()})
        for name in OUTPUTS:
            np.testing.assert_allclose(alone[name][0], together[name][row], atol=1e-6)


def test_what_is_not_asked_for_is_not_in_the_file(exported: bytes):
    names = {tensor.name for tensor in onnx.load_from_string(exported).graph.initializer}
    assert any("category" in name for name in names)
    assert not any("head" in name for name in names)


def test_the_model_is_left_as_it_was(model: Classifier):
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    copy = frozen(model.double())
    assert not copy.training
    assert {parameter.dtype for parameter in copy.parameters()} == {torch.float32}
    model.float()


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]):
    export_onnx(classifier(), arrays(3), ["logit"])
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


ELSEWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from nn.test_export import OUTPUTS, arrays, classifier
from tocsin.nn.export import export_onnx
sys.stdout.buffer.write(export_onnx(classifier(), arrays(7, seed=3), OUTPUTS))
"""


def test_equal_models_give_equal_bytes_in_another_process(exported: bytes, tmp_path: Path):
    """Another folder, another seed of the hashes, another example."""
    result = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(Path(__file__).parents[1])],
        cwd=tmp_path, capture_output=True, check=True, env=os.environ | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert result.stdout == exported


def test_no_machine_is_in_the_file(exported: bytes):
    for trace in (b"/", b"\\", b".py", b"stack", b"torch", b"+cpu", str(Path.home()).encode()):
        assert trace not in without_weights(exported), trace


def test_the_exporter_would_have_left_traces(model: Classifier, monkeypatch: pytest.MonkeyPatch):
    """Negative control: without the stripping, the paths are there."""
    monkeypatch.setattr("tocsin.nn.export._strip", lambda proto: None)
    raw = without_weights(export_onnx(model, arrays(4), OUTPUTS))
    assert __file__.encode() in raw
    assert b"stack_trace" in raw


def without_weights(raw: bytes) -> bytes:
    """The file with all tensors emptied: random weights may spell anything."""
    proto = onnx.load_from_string(raw)
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")
    return proto.SerializeToString()


def test_large_weights_are_inside():
    model = nn.Linear(700, 900)

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logit": self.inner(x)}

    raw = export_onnx(Named(), {"x": np.ones((2, 700), np.float32)}, ["logit"])
    assert len(raw) > 4 * 700 * 900
    check_model("model.onnx", raw)


class Attention(nn.Module):
    """One layer of attention over tokens of any number."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.project, self.out = nn.Embedding(20, 16), nn.Linear(16, 48), nn.Linear(16, 1)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        q, k, v = (
            part.unflatten(-1, (4, 4)).transpose(1, 2)
            for part in self.project(self.embed(tokens)).chunk(3, -1)
        )
        x_BLD = (
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None]).transpose(1, 2).flatten(2)
        )
        return {"logit": self.out(x_BLD[:, 0])[:, 0]}


def texts(rows: int, length: int) -> Arrays:
    rng = np.random.default_rng(1)
    mask = rng.random((rows, length)) < 0.8
    mask[:, 0] = True
    return {"tokens": rng.integers(0, 20, (rows, length)), "mask": mask}


def test_a_second_axis_can_be_free():
    torch.manual_seed(1)
    model = Attention()
    axes = {name: (Axis("length", length="count"),) for name in ("tokens", "mask")}
    raw = export_onnx(model, texts(3, 9), ["logit"], axes)
    assert [node.shape for node in open_session(raw).get_inputs()] == [["rows", "length"]] * 2
    gaps = [
        parity(model, raw, {rows: texts(rows, length)}, 1e-6) for rows, length in ((1, 1), (2, 31), (5, 512))
    ]
    assert len(gaps) == 3


class Messages(nn.Module):
    """Typed edges carry messages between the nodes of each row's graph; a score for the graph and for each node.

    Shape legend: B graphs, N nodes, E edges.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out, self.each = nn.Embedding(7, 4), nn.Linear(4, 1), nn.Linear(4, 1)
        self.message = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, nodes: Tensor, node_count: Tensor, edges: Tensor, kinds: Tensor) -> dict[str, Tensor]:
        inside_BN = torch.arange(nodes.shape[1]) < node_count[:, None]
        x_BND = self.embed(nodes) * inside_BN[..., None]
        first_B11 = torch.arange(nodes.shape[0])[:, None, None] * nodes.shape[1]
        flat_E2 = (edges.clamp(min=0) + first_B11).flatten(0, 1)
        sent_ED = torch.einsum(
            "ed,edf->ef", x_BND.flatten(0, 1)[flat_E2[:, 0]], self.message[kinds.flatten()]
        )
        sent_ED = sent_ED * (edges.flatten(0, 1)[:, :1] >= 0)
        x_BND = F.relu(x_BND.flatten(0, 1).index_add(0, flat_E2[:, 1], sent_ED).reshape(x_BND.shape))
        x_BND = x_BND * inside_BN[..., None]
        return {"logit": self.out(x_BND.sum(1))[:, 0], "tokens": self.each(x_BND)[..., 0]}


GRAPH: Axes = {
    "nodes": (Axis("nodes", "node_count"),),
    "edges": (Axis("edges", "edge_count", pad=-1), 2),
    "kinds": (Axis("edges", "edge_count"),),
}
GRAPH_HEADS = (LOGIT, Head("tokens", "tokens", (Axis("nodes", "node_count"),)))


def graphs(rows: int, nodes: int = 12, edges: int = 20) -> Arrays:
    """Graphs of unlike size; node 0, edge type 0 and kind 0 are as real as any other."""
    rng = np.random.default_rng(2)
    node_count, edge_count = rng.integers(1, nodes, rows), rng.integers(0, edges, rows)
    inside = np.arange(edges) < edge_count[:, None]
    ends = rng.integers(0, node_count[:, None, None], (rows, edges, 2))
    return {
        "nodes": np.where(np.arange(nodes) < node_count[:, None], rng.integers(0, 7, (rows, nodes)), 0),
        "node_count": node_count,
        "edges": np.where(inside[..., None], ends, -1),
        "edge_count": edge_count,
        "kinds": np.where(inside, rng.integers(0, 2, (rows, edges)), 0),
    }


def test_graphs_have_sizes_of_their_own():
    torch.manual_seed(2)
    model = Messages()
    raw = export_onnx(model, graphs(5), ["logit", "tokens"], GRAPH)
    assert {node.name for node in open_session(raw).get_inputs()} == {"nodes", "node_count", "edges", "kinds"}
    assert max(parity(model, raw, sized(graphs(150), GRAPH), 1e-5, GRAPH_HEADS).values()) < 1e-5


def test_a_graph_alone_together_and_padded_answers_the_same():
    torch.manual_seed(2)
    raw = export_onnx(Messages(), graphs(5), ["logit", "tokens"], GRAPH)
    session, whole = open_session(raw), graphs(40)
    padded = call(session, whole)
    together = score(session, whole, GRAPH, axes_of(GRAPH_HEADS))
    for row in range(40):
        alone = call(session, cut(take(whole, np.array([row])), GRAPH))
        size = whole["node_count"][row]
        for found in (together, padded):
            np.testing.assert_allclose(found["logit"][row], alone["logit"][0], atol=1e-5)
            np.testing.assert_allclose(found["tokens"][row, :size], alone["tokens"][0], atol=1e-5)


class FixedSize(nn.Module):
    """`len` turns the number of rows into a number for good."""

    def __init__(self) -> None:
        super().__init__()
        self.cls, self.out = nn.Parameter(torch.ones(1, 5)), nn.Linear(5, 1)

    def forward(self, numeric: Tensor) -> dict[str, Tensor]:
        return {"logit": self.out(numeric + self.cls.expand(len(numeric), 5))[:, 0]}


def test_a_model_that_fixes_its_rows_is_refused():
    with pytest.raises(CheckFailed, match=r"fixes rows \(axis 0 of 'numeric'\)"):
        export_onnx(FixedSize(), {"numeric": arrays(4)["numeric"]}, ["logit"])


def test_an_example_of_one_row_is_refused(model: Classifier):
    with pytest.raises(InputError, match=r"at least 2 rows; 'codes' has the shape \(1, 4\)"):
        export_onnx(model, arrays(1), OUTPUTS)


@pytest.mark.parametrize("name", ["numbers.weight", "codes.weight", "category.bias", "logit.bias"])
def test_a_changed_weight_is_found(model: Classifier, exported: bytes, name: str):
    """Negative control for parity: one weight in a thousand off by 1 %, or by 0.001 where it is small."""
    changed = frozen(model)
    with torch.no_grad():
        weight = changed.get_parameter(name).view(-1)
        weight[0] += weight[0].abs() * 0.01 + 0.001
    with pytest.raises(CheckFailed, match="ONNX differs from PyTorch"):
        parity(changed, exported, sized(arrays(300), {}), 1e-5, HEADS)


def test_what_is_not_a_number_is_no_parity(model: Classifier, exported: bytes):
    inputs = arrays(3)
    inputs["numeric"][1, 0] = np.nan
    with pytest.raises(CheckFailed, match="differs from PyTorch by nan"):
        parity(model, exported, {3: inputs}, 1e-5, HEADS)


def test_another_shape_is_no_parity(exported: bytes):
    class Wider(Classifier):
        def forward(self, numeric: Tensor, codes: Tensor, unused: Tensor) -> dict[str, Tensor]:
            found = super().forward(numeric, codes, unused)
            return found | {"logit": found["logit"][:, None]}

    torch.manual_seed(0)
    with pytest.raises(CheckFailed, match=r"'logit' has the shape \(1,\), PyTorch's \(1, 1\)"):
        parity(Wider(), exported, {1: arrays(1)}, 1e-5, HEADS)


def test_sizes_stop_at_what_there_is():
    assert list(sized(arrays(5), {})) == [1, 2, 5]
    assert list(sized(arrays(7), {})) == [1, 2, 7]
    assert all(values.shape[0] == 2 for values in sized(arrays(5), {})[2].values())


def test_int8_is_smaller_and_close():
    torch.manual_seed(3)
    model = Classifier(width=512)
    raw = export_onnx(model, arrays(4), OUTPUTS)
    small = quantize(raw, arrays(300))
    kinds = {node.op_type for node in onnx.load_from_string(small).graph.node}
    assert "QuantizeLinear" in kinds
    assert len(small) < len(raw)
    assert small == quantize(raw, arrays(300))
    check_model("model.onnx", small)
    gaps = parity(model, small, sized(arrays(300), {}), 0.05, HEADS)
    assert max(gaps.values()) > 1e-5, "int8 is not float32"
    with pytest.raises(CheckFailed):
        parity(model, small, sized(arrays(300), {}), 1e-5, HEADS)


def alone_and_together(model: bytes) -> float:
    """Return the largest difference in the logit between a row alone and among others."""
    many = arrays(40, seed=5)
    together = answer(model, many)["logit"]
    alone = [answer(model, {k: v[i : i + 1] for k, v in many.items()})["logit"][0] for i in range(40)]
    return float(np.abs(together - alone).max())


def test_an_int8_score_does_not_depend_on_its_batch_mates(exported: bytes, tmp_path: Path):
    assert alone_and_together(quantize(exported, arrays(300))) <= 1e-6
    quantize_dynamic(onnx.load_from_string(exported), tmp_path / "dynamic.onnx")
    assert alone_and_together((tmp_path / "dynamic.onnx").read_bytes()) > 1e-4, "the test would not notice"


def test_int8_leaves_no_traces_and_says_nothing(exported: bytes, caplog: pytest.LogCaptureFixture):
    small = without_weights(quantize(exported, arrays(100)))
    assert not caplog.records
    assert b"onnx.quant" not in small
    assert b"tmp" not in small
    assert str(Path.cwd()).encode() not in small
    assert b".py" not in small


def test_convolutions_stay_float():
    class Convolution(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv1d(4, 8, 3, padding=1), nn.Linear(8, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logit": self.out(self.conv(x).amax(-1))[:, 0]}

    example = {"x": np.random.default_rng(4).normal(size=(2, 4, 10)).astype(np.float32)}
    small = quantize(export_onnx(Convolution(), example, ["logit"]), example)
    kinds = {node.op_type for node in onnx.load_from_string(small).graph.node}
    assert "Conv" in kinds
    inputs = {
        i for node in onnx.load_from_string(small).graph.node if node.op_type == "Conv" for i in node.input
    }
    assert not any("DequantizeLinear" in name for name in inputs)


def test_sealed_and_opened_it_still_answers(model: Classifier, exported: bytes, tmp_path: Path):
    from artifact.examples import KEY, manifest
    from tocsin.artifact.open import open_artifact
    from tocsin.artifact.seal import seal

    gaps = parity(model, exported, sized(arrays(10), {}), 1e-6, HEADS)
    seal(tmp_path / "sealed", manifest(parity=gaps), {"model.onnx": exported}, KEY)
    artifact = open_artifact(tmp_path / "sealed", public_key=KEY.public_key())
    assert artifact.manifest.parity == gaps
    np.testing.assert_array_equal(
        answer(artifact.files["model.onnx"], arrays(10))["logit"], answer(exported, arrays(10))["logit"]
    )
