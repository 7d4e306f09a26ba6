"""LightGBM and logistic models leave their libraries: the same answers, whatever is missing or was never seen."""

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from scipy.special import expit

from baselines.made import labelled, table
from tocsin.artifact.refusal import ArtifactError
from tocsin.artifact.wire import check_model
from tocsin.baselines.lightgbm import add_trees
from tocsin.core.baseline import Fitted, Inputs, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.flat import FlatPart, flatten_parts
from tocsin.core.plugins import load_baseline
from tocsin.core.types import Arrays
from tocsin.features.tabular import FIRST, HIDDEN, MISSING, UNKNOWN
from tocsin.nn.onnx_graph import Graph, build_model

PARTS = (FlatPart("numeric", "state", (1, 2)), FlatPart("categorical", "categorical", (MISSING,)))
FLAGS = [False] * 4 + [True] * 2
CODES = (5, 200)


def rows(count: int, seed: int, absent: float = 0.1) -> Arrays:
    """Two columns of codes, one of them with 200; absent, hidden and unknown values among all."""
    rng = np.random.default_rng(seed)
    state = rng.choice([0, 1, 2], p=[1 - absent, absent / 2, absent / 2], size=(count, 4))
    codes = np.stack([rng.integers(FIRST, FIRST + n, count) for n in CODES], axis=1)
    odd = rng.random((count, 2)) < absent
    codes[odd] = rng.choice([UNKNOWN, MISSING, HIDDEN], odd.sum())
    numeric = np.where(state == 0, rng.normal(size=(count, 4)), 0.0).astype(np.float32)
    return {"numeric": numeric, "state": state, "categorical": codes}


def labels(arrays: Arrays, seed: int) -> np.ndarray:
    x, codes = arrays["numeric"], arrays["categorical"]
    score = x[:, 0] * x[:, 1] + (codes[:, 0] % 2) + (codes[:, 1] % 7 < 3) + (arrays["state"][:, 2] > 0)
    return (score + np.random.default_rng(seed).normal(size=len(x)) > 1.2).astype(np.int64)


def flat(arrays: Arrays) -> Inputs:
    return table(flatten_parts(PARTS, arrays), FLAGS)


def fitted(name: str, absent: float = 0.1, seed: int = 0) -> Fitted:
    sides = [rows(3000, side, absent) for side in (seed, seed + 1)]
    train, valid = (labelled(flat(side), labels(side, seed + i)) for i, side in enumerate(sides))
    return fit_baseline(name, load_baseline("intrusion", name), train, valid, 0)


def exported(fitted: Fitted) -> bytes:
    graph = Graph(fitted.name, PARTS)
    return build_model(graph, rows(2, 0), fitted.baseline.graph(graph, fitted.model))


def probability(model: bytes, arrays: Arrays) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logit,) = session.run(["logit"], dict(arrays))
    assert logit.dtype == np.float32
    assert logit.shape == (len(arrays["numeric"]),)
    return expit(logit.astype(np.float64))


@pytest.mark.parametrize("absent", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("name", ["lightgbm", "logistic"])
def test_it_answers_as_its_library_does(name: str, absent: float) -> None:
    """Fitted on rows with few, some or many gaps, asked about rows with others: 20,000 answers each."""
    baseline = fitted(name, absent)
    model = exported(baseline)
    for asked in (0.0, 0.1, 0.9, 1.0):
        arrays = rows(5000, 7, asked)
        wanted = baseline.model.predict(flat(arrays))
        assert np.abs(probability(model, arrays) - wanted).max() < 1e-6


@pytest.mark.parametrize("name", ["lightgbm", "logistic"])
@pytest.mark.parametrize("size", [1e-30, 1e6, 3e37])
def test_numbers_far_out_are_answered_alike(name: str, size: float) -> None:
    baseline, arrays = fitted(name), rows(2000, 8)
    arrays["numeric"] = (arrays["numeric"] * np.float64(size)).clip(-3e37, 3e37).astype(np.float32)
    wanted = baseline.model.predict(flat(arrays))
    assert np.abs(probability(exported(baseline), arrays) - wanted).max() < 1e-6


def test_values_on_the_edge_of_a_split_fall_to_the_same_side() -> None:
    """The thresholds themselves, and their nearest float32 neighbours."""
    baseline = fitted("lightgbm")
    table = baseline.model.booster.trees_to_dataframe()
    on_numbers = table[(table.decision_type == "<=") & (table.split_feature == "Column_0")]
    edges = on_numbers.threshold.astype(np.float32).to_numpy()
    values = np.concatenate([edges, np.nextafter(edges, np.float32(-9)), np.nextafter(edges, np.float32(9))])
    arrays = rows(len(values), 9, absent=0.0)
    arrays["numeric"][:, 0] = values
    wanted = baseline.model.predict(flat(arrays))
    assert len(values) > 100
    assert np.abs(probability(exported(baseline), arrays) - wanted).max() < 1e-6


def test_a_row_is_answered_alone_as_among_others() -> None:
    model, arrays = exported(fitted("lightgbm")), rows(200, 10)
    together = probability(model, arrays)
    alone = [probability(model, {n: v[i : i + 1] for n, v in arrays.items()})[0] for i in range(200)]
    assert np.array_equal(together, alone)


def test_equal_models_give_equal_bytes() -> None:
    assert exported(fitted("lightgbm")) == exported(fitted("lightgbm"))


def test_a_changed_leaf_would_be_seen() -> None:
    baseline = fitted("lightgbm")
    proto = onnx.load_from_string(exported(baseline))
    (trees,) = [node for node in proto.graph.node if node.op_type == "TreeEnsemble"]
    (leaves,) = [a for a in trees.attribute if a.name == "leaf_weights"]
    leaves.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(leaves.t) + 1e-4))
    arrays = rows(2000, 11)
    wanted = baseline.model.predict(flat(arrays))
    assert np.abs(probability(proto.SerializeToString(), arrays) - wanted).max() > 1e-5


def test_trees_that_keep_their_leaves_in_another_file_are_refused() -> None:
    """Tensors inside the attributes of a tree are walked like all others."""
    proto = onnx.load_from_string(exported(fitted("lightgbm")))
    check_model("model.onnx", proto.SerializeToString())
    (trees,) = [node for node in proto.graph.node if node.op_type == "TreeEnsemble"]
    (leaves,) = [a for a in trees.attribute if a.name == "leaf_weights"]
    leaves.t.data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(ArtifactError, match="another file"):
        check_model("model.onnx", proto.SerializeToString())


def test_trees_that_never_split() -> None:
    """Labels that nothing tells: LightGBM keeps one leaf, and so does the graph."""
    arrays = rows(40, 12)
    data = lightgbm.Dataset(flatten_parts(PARTS, arrays), np.arange(40) % 2)
    booster = lightgbm.train({"objective": "binary", "min_data_in_leaf": 40, "verbosity": -1}, data, 3)
    graph = Graph("t", PARTS)
    model = build_model(graph, rows(2, 0), add_trees(graph, booster.dump_model()))
    assert np.abs(probability(model, arrays) - booster.predict(flatten_parts(PARTS, arrays))).max() < 1e-6


@pytest.mark.parametrize(
    "settings", [{"objective": "regression"}, {"objective": "binary", "zero_as_missing": True}]
)
def test_what_would_be_answered_otherwise_is_refused(settings: dict) -> None:
    arrays = rows(500, 13)
    data = lightgbm.Dataset(flatten_parts(PARTS, arrays), labels(arrays, 0))
    booster = lightgbm.train({"verbosity": -1} | settings, data, 5)
    with pytest.raises(InputError, match="LightGBM model"):
        add_trees(Graph("t", PARTS), booster.dump_model())


def test_a_scaled_sigmoid_is_kept() -> None:
    arrays = rows(2000, 14)
    matrix = flatten_parts(PARTS, arrays)
    data = lightgbm.Dataset(matrix, labels(arrays, 14))
    booster = lightgbm.train({"objective": "binary", "sigmoid": 2.5, "verbosity": -1}, data, 20)
    graph = Graph("t", PARTS)
    model = build_model(graph, rows(2, 0), add_trees(graph, booster.dump_model()))
    assert np.abs(probability(model, arrays) - booster.predict(matrix)).max() < 1e-6
