"""Rows of unlike size: every row is answered once, in its place, without its padding; outputs are joined again."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.axes import Axes, Axis, cut, each_row, join, run_rows, sizes
from tocsin.core.types import Arrays, rows, take

LENGTHS = st.lists(st.integers(0, 12), max_size=30)
TOKENS: Axes = {"tokens": (Axis("places", "length"),)}
GRAPH: Axes = {
    "nodes": (Axis("nodes", "node_count"),),
    "edges": (Axis("edges", "edge_count", pad=-1), 2),
}


def padded(lengths: list[int], width: int = 12) -> Arrays:
    """Tokens of which some are 0, as padding is: only the length tells them apart."""
    size = np.array(lengths, dtype=np.int64).reshape(-1)
    used = np.arange(width) < size[:, None]
    return {
        "tokens": np.where(used, np.arange(width) % 3, 0),
        "length": size,
        "row": np.arange(len(lengths), dtype=np.float32),
    }


@given(LENGTHS, st.integers(1, 60))
def test_every_row_is_answered_in_its_place(lengths: list[int], cells: int) -> None:
    calls: list[tuple[int, int]] = []

    def run(part: Arrays) -> Arrays:
        calls.append(part["tokens"].shape)
        assert part["tokens"].flags["C_CONTIGUOUS"]
        return {"sum": part["tokens"].sum(axis=1), "row": part["row"], "each": part["tokens"] + 1}

    arrays = padded(lengths)
    found = run_rows(run, arrays, TOKENS, {"each": (Axis("places", "length"),)}, cells)
    np.testing.assert_array_equal(found["sum"], arrays["tokens"].sum(axis=1))
    np.testing.assert_array_equal(found["row"], arrays["row"])
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(found["each"][row, :length], arrays["tokens"][row, :length] + 1)
    assert sum(count for count, _ in calls) == len(lengths)
    assert all(count == 1 or count * width <= cells for count, width in calls) or len(lengths) <= 1
    assert max((width for _, width in calls), default=1) <= max([1, *lengths])


def test_like_sizes_run_together() -> None:
    shapes: list[tuple[int, ...]] = []

    def run(part: Arrays) -> Arrays:
        shapes.append(part["tokens"].shape)
        return {"row": part["row"]}

    run_rows(run, padded([12, 1, 12, 2, 1, 1]), TOKENS, {}, 24)
    assert shapes == [(4, 2), (2, 12)]


def test_the_longest_axis_counts_and_others_do_not() -> None:
    arrays = padded([3, 0]) | {
        "letters": np.zeros((2, 5)),
        "count": np.array([2, 4]),
        "wide": np.ones((2, 9)),
    }
    assert sizes(arrays, TOKENS | {"letters": (Axis("characters", "count"),)}).tolist() == [3, 4]
    assert sizes(arrays, {}).tolist() == [1, 1]


@pytest.mark.parametrize("axes", [{}, TOKENS])
def test_no_rows_are_one_call(axes: Axes) -> None:
    found = run_rows(lambda part: {"row": part["row"]}, padded([]), axes, {}, 5)
    assert rows(found) == 0


def graphs(counts: list[tuple[int, int]], nodes: int = 6, edges: int = 5) -> Arrays:
    """Graphs whose last node and last edge end in 0, an id like any other."""
    node_count, edge_count = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    inside = np.arange(edges) < edge_count[:, None]
    return {
        "nodes": np.where(np.arange(nodes) < node_count[:, None], 0, 0),
        "edges": np.where(inside[..., None], 0, -1) * np.ones((1, 1, 2), dtype=np.int64),
        "node_count": node_count,
        "edge_count": edge_count,
    }


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=12), st.data())
def test_graphs_are_cut_sliced_and_joined_again(counts: list[tuple[int, int]], data: st.DataObject) -> None:
    whole = graphs(counts)
    bounds = sorted({0, len(counts), *data.draw(st.lists(st.integers(0, len(counts)), max_size=3))})
    pieces = [cut(take(whole, np.arange(a, b)), GRAPH) for a, b in pairwise(bounds) if b > a]
    for piece in pieces:
        assert piece["nodes"].shape[1] == piece["node_count"].max()
        assert piece["edges"].shape[1:] == (max(1, piece["edge_count"].max()), 2)
    again = join(pieces, GRAPH)
    expected = cut(whole, GRAPH)
    for name in whole:
        np.testing.assert_array_equal(again[name], expected[name])


def test_zeros_at_the_end_of_a_row_are_kept() -> None:
    """Negative control for looking for zeros: all nodes and edges here are 0."""
    found = cut(graphs([(4, 3), (2, 1)]), GRAPH)
    assert found["nodes"].shape == (2, 4)
    assert found["edges"].shape == (2, 3, 2)
    assert found["edges"][1].tolist() == [[0, 0], [-1, -1], [-1, -1]]


def test_a_multiple_rounds_up_and_stops_at_what_is_there() -> None:
    assert cut(padded([5, 2]), TOKENS, multiple=4)["tokens"].shape == (2, 8)
    assert cut(padded([11]), TOKENS, multiple=8)["tokens"].shape == (1, 12)


def test_each_row_has_its_own_size() -> None:
    asked = padded([3, 0, 12])
    outputs = {"each": asked["tokens"], "logit": np.arange(3.0)}
    found = list(each_row(outputs, {"each": (Axis("places", "length"),)}, asked))
    assert [row["each"].shape for row in found] == [(1, 3), (1, 1), (1, 12)]
    assert [row["logit"].tolist() for row in found] == [[0.0], [1.0], [2.0]]
