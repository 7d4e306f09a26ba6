"""Graphs put together by hand: the matrix that `flatten` makes, and the sum of models that read different arrays."""

import numpy as np
import onnx
import onnxruntime
import pytest

from tocsin.core.errors import InputError
from tocsin.core.flat import FlatPart, flatten_parts
from tocsin.core.types import Arrays
from tocsin.nn.onnx_graph import Graph, add_logits, build_model


def run(model: bytes, arrays: Arrays) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    given = {node.name: arrays[node.name] for node in session.get_inputs()}
    (logit,) = session.run(["logit"], given)
    return np.asarray(logit)


def summing(name: str, arrays: Arrays, factor: float) -> bytes:
    """A model whose logit is a factor times the sum of the row over all arrays."""
    graph = Graph(name)
    sums = [
        graph.add("ReduceSum", [graph.cast(n, "float64"), graph.hold(np.array([1]))], {"keepdims": 0})
        for n in arrays
    ]
    total = graph.add("Sum", sums)
    return build_model(graph, arrays, graph.add("Mul", [total, graph.hold(np.array(factor))]))


def given(rows: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(rows, 3)).astype(np.float32),
        "b": rng.normal(size=(rows, 2)),
        "c": rng.integers(0, 9, (rows, 4)).astype(np.int64),
    }


def test_a_sum_is_each_logit_times_its_factor() -> None:
    arrays = given(50, 0)
    models = [summing("x", {"a": arrays["a"]}, 1.0), summing("y", {"a": arrays["a"]}, -3.0)]
    wanted = (0.25 * 1.0 + 0.5 * -3.0) * arrays["a"].astype(np.float64).sum(axis=1)
    np.testing.assert_allclose(run(add_logits(models, [0.25, 0.5]), arrays), wanted, atol=1e-5)


def test_a_sum_reads_whatever_one_of_its_models_reads() -> None:
    """Three models that share one array, or none: each input is there once, and counts where it is read."""
    arrays = given(50, 1)
    reads = [("a",), ("b", "a"), ("c",)]
    models = [summing(f"m{i}", {n: arrays[n] for n in names}, 1.0 + i) for i, names in enumerate(reads)]
    mixed = add_logits(models, [1.0, 0.5, 0.1])
    assert [given.name for given in onnx.load_from_string(mixed).graph.input] == ["a", "b", "c"]
    a, b, c = (arrays[n].astype(np.float64).sum(axis=1) for n in "abc")
    np.testing.assert_allclose(run(mixed, arrays), a + 0.5 * 2 * (a + b) + 0.1 * 3 * c, atol=1e-4)
    moved = run(mixed, {**arrays, "c": arrays["c"] + 1})
    np.testing.assert_allclose(moved - run(mixed, arrays), 0.1 * 3 * 4, atol=1e-4)


def test_a_model_has_no_input_that_it_does_not_read() -> None:
    arrays = given(5, 3)
    graph = Graph("x")
    total = graph.add("ReduceSum", ["b", graph.hold(np.array([1]))], {"keepdims": 0})
    model = build_model(graph, arrays, total)
    assert [node.name for node in onnx.load_from_string(model).graph.input] == ["b"]
    np.testing.assert_allclose(run(model, arrays), arrays["b"].sum(axis=1), atol=1e-6)


def test_models_that_read_one_array_as_two_types_are_refused() -> None:
    arrays = given(5, 2)
    models = [summing("x", {"a": arrays["a"]}, 1.0), summing("y", {"a": arrays["a"].astype(np.int64)}, 1.0)]
    with pytest.raises(InputError, match="read a as different types"):
        add_logits(models, [1.0, 1.0])


def test_the_matrix_is_what_flatten_returns_and_is_added_once() -> None:
    arrays = {"values": np.array([[1.5, 2.0], [0.0, -1.0]], np.float32), "state": np.array([[0, 1], [2, 0]])}
    parts = (FlatPart("values", "state", (1, 2)),)
    graph = Graph("flat", parts)
    assert graph.matrix == graph.matrix
    is_missing = graph.cast(graph.add("IsNaN", [graph.matrix]), "float64")
    last = graph.hold(np.array([1]))
    model = build_model(graph, arrays, graph.add("ReduceSum", [is_missing, last], {"keepdims": 0}))
    np.testing.assert_array_equal(run(model, arrays), np.isnan(flatten_parts(parts, arrays)).sum(axis=1))


def test_without_parts_there_is_no_matrix() -> None:
    with pytest.raises(
        InputError, match="lightgbm reads flat features, and these arrays cannot be flattened"
    ):
        _ = Graph("lightgbm").matrix
