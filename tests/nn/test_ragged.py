"""Rows of unlike length: every row is answered once, in its place, and without its padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.types import Arrays, rows
from tocsin.nn.ragged import places, run_ragged

LENGTHS = st.lists(st.integers(0, 12), max_size=30)


def padded(lengths: list[int], width: int = 12) -> Arrays:
    used = np.arange(width) < np.array(lengths, dtype=int).reshape(-1, 1)
    return {
        "tokens": np.where(used, np.arange(1, width + 1), 0),
        "row": np.arange(len(lengths), dtype=np.float32),
    }


@given(LENGTHS, st.integers(1, 60))
def test_every_row_is_answered_in_its_place(lengths: list[int], cells: int) -> None:
    calls: list[tuple[int, int]] = []

    def run(part: Arrays) -> Arrays:
        calls.append(part["tokens"].shape)
        assert part["tokens"].flags["C_CONTIGUOUS"]
        return {"sum": part["tokens"].sum(axis=1), "row": part["row"]}

    arrays = padded(lengths)
    found = run_ragged(run, arrays, ["tokens"], cells)
    np.testing.assert_array_equal(found["sum"], arrays["tokens"].sum(axis=1))
    np.testing.assert_array_equal(found["row"], arrays["row"])
    assert sum(count for count, _ in calls) == len(lengths)
    assert all(count == 1 or count * width <= cells for count, width in calls) or len(lengths) <= 1
    assert max((width for _, width in calls), default=1) <= max([1, *lengths])


def test_like_lengths_run_together() -> None:
    shapes: list[tuple[int, ...]] = []

    def run(part: Arrays) -> Arrays:
        shapes.append(part["tokens"].shape)
        return {"row": part["row"]}

    run_ragged(run, padded([12, 1, 12, 2, 1, 1]), ["tokens"], 24)
    assert shapes == [(4, 2), (2, 12)]


def test_the_longest_ragged_input_counts_and_others_do_not() -> None:
    arrays = padded([3, 0]) | {
        "letters": np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]),
        "wide": np.ones((2, 9)),
    }
    assert places(arrays, ["tokens", "letters"]).tolist() == [3, 1]
    assert places(arrays, []).tolist() == [1, 1]


@pytest.mark.parametrize("ragged", [[], ["tokens"]])
def test_no_rows_are_one_call(ragged: list[str]) -> None:
    found = run_ragged(lambda part: {"row": part["row"]}, padded([]), ragged, 5)
    assert rows(found) == 0
