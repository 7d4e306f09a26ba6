from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.data.clusters import connect, near_duplicates, round_significant

SIZES = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x == 0 or 1e-250 < abs(x) < 1e300)


@given(SIZES, st.integers(1, 9))
@example(9.996, 3)
@example(999.5, 3)
@example(0.001, 2)
@example(1000.0, 3)
@example(-123456.0, 3)
@example(5e-324, 3)
@example(1.7976931348623157e308, 3)
def test_rounding_agrees_with_decimal_arithmetic(value: float, digits: int):
    """The oracle is exact; ours may fall to the other side of a tie, so it is at most half a unit off."""
    (ours,) = round_significant(np.array([value]), digits)
    exact = Context(prec=digits, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(value))
    unit = Decimal(10) ** (exact.adjusted() - digits + 1) if exact else Decimal(0)
    if abs(value) > 1e-250 and np.isfinite(ours):
        assert abs(Decimal(float(ours)) - Decimal(value)) <= unit * Decimal("0.5000001")
        assert f"{ours:.{digits - 1}e}" == f"{float(f'{ours:.{digits - 1}e}'):.{digits - 1}e}"
        assert round_significant(np.array([ours]), digits)[0] == ours, "rounding twice changes nothing"


@pytest.mark.parametrize("exponent", range(-30, 31))
def test_what_rounds_to_the_same_number_is_the_same_number(exponent: int):
    """9.996 and 10.004 are both 10.0: equal to the bit, or they would not share a cluster."""
    values = np.array([9.996, 10.0, 10.004]) * float(f"1e{exponent}")
    assert len(set(round_significant(values, 3).tolist())) == 1


def test_special_values_stay():
    values = np.array([np.nan, np.inf, -np.inf, 0.0])
    np.testing.assert_array_equal(round_significant(values, 3), values)


def test_near_duplicates_agree_in_text_and_in_rounded_numbers():
    columns = {
        "a": np.array([1.0001, 1.0002, 1.1, np.nan, np.nan]),
        "b": np.array(["x", "x", "x", "x", None], dtype=object),
    }
    keys = near_duplicates(columns, 3).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert len(set(near_duplicates(columns, 9).tolist())) == 5


KEYS = st.integers(1, 30).flatmap(
    lambda size: st.tuples(
        st.just(size), st.lists(st.lists(st.integers(0, 20), min_size=size, max_size=size), max_size=4)
    )
)


def components(size: int, keys: list[list[int]]) -> list[frozenset[int]]:
    """The oracle: depth-first search, slow and plain."""
    found, left = [], set(range(size))
    while left:
        todo, seen = [left.pop()], set()
        while todo:
            row = todo.pop()
            seen.add(row)
            todo += [
                other for key in keys for other in range(size) if key[other] == key[row] and other not in seen
            ]
        left -= seen
        found.append(frozenset(seen))
    return sorted(found, key=min)


@given(KEYS)
def test_clusters_are_the_connected_components(case):
    size, keys = case
    clusters = connect([np.array(key, dtype=np.uint64) for key in keys], size)
    found = [frozenset(np.flatnonzero(clusters == c).tolist()) for c in range(clusters.max() + 1)]
    assert found == components(size, keys), "and they are numbered by their first row"


@given(KEYS, st.randoms())
def test_the_order_of_rows_does_not_matter(case, random):
    size, keys = case
    order = list(range(size))
    random.shuffle(order)
    arrays = [np.array(key, dtype=np.uint64) for key in keys]
    straight, shuffled = connect(arrays, size), connect([key[order] for key in arrays], size)
    for i in range(size):
        together = {order[j] for j in range(size) if shuffled[j] == shuffled[i]}
        assert together == set(np.flatnonzero(straight == straight[order[i]]).tolist())


def test_a_long_chain_closes():
    """Each row shares one key with the next, in scattered order: the worst case for spreading."""
    size = 20_000
    place = np.random.default_rng(0).permutation(size)
    assert connect([place // 2, (place + 1) // 2], size).max() == 0


def test_no_likeness_no_clusters():
    assert connect([], 3).tolist() == [0, 1, 2]
