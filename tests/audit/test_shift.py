"""Distances between training and test, against textbook definitions and scipy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import ks_2samp

from audit.made import Made, flows
from tocsin.audit.shift import kolmogorov, measure_shift, stability_index, tell_apart
from tocsin.audit.sides import Sides
from tocsin.data.splits import split

NUMBERS = npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100, width=32))


@given(NUMBERS, NUMBERS)
def test_kolmogorov_is_the_largest_distance_at_any_value(one, other):
    """The oracle: both shares at every value, one after the other."""
    distances = [abs((one <= x).mean() - (other <= x).mean()) for x in (*one, *other)]
    assert kolmogorov(one, other) == pytest.approx(max(distances))


def test_kolmogorov_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2, 1.0):
        one, other = rng.normal(0, 1, 300), rng.normal(shift, 1, 200).round(1)
        assert kolmogorov(one, other) == pytest.approx(ks_2samp(one, other).statistic)


def test_what_is_missing_is_left_to_the_index():
    assert kolmogorov(np.array([np.nan, 1.0]), np.array([np.inf, 1.0])) == 0
    assert kolmogorov(np.array([np.nan]), np.array([1.0])) is None


def test_the_index_is_the_textbook_sum():
    """Yurdakul 2018, `Statistical Properties of Population Stability Index`, formula 2.1; ours adds half a row."""
    one, other = np.array([400_000, 350_000, 250_000]), np.array([300_000, 300_000, 400_000])
    p, q = one / one.sum(), other / other.sum()
    assert stability_index(one, other) == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=1e-4)
    assert stability_index(one, 2 * one) == pytest.approx(0, abs=1e-6)
    assert stability_index(np.array([5, 0]), np.array([0, 5])) > 3


def sides_of(made: Made) -> Sides:
    (fold,) = split(made.dataset, made.stated.split, made.official)
    return Sides(made.dataset, fold, made.official, made.stated)


def test_chance_gives_about_what_is_expected():
    """The mean index of columns that did not shift, over twenty sets, is what `expected` says."""
    found = [
        s
        for seed in range(20)
        for s in measure_shift(sides_of(Made(flows(seed), flows(99 - seed, rows=900))))
    ]
    rate = [s for s in found if s.name == "rate"]
    unshifted = [s for s in found if s.name not in ("seconds", "bytes", "packets", "jitter")]
    assert len(unshifted) == 60
    assert np.mean([s.psi for s in unshifted]) == pytest.approx(
        np.mean([s.expected for s in unshifted]), rel=0.35
    )
    assert all(s.ks is None for s in found if s.name in ("service", "state"))
    assert all(0 <= s.ks < 0.12 for s in rate if s.ks is not None)


def test_rows_of_one_population_cannot_be_told_apart_and_others_can():
    assert tell_apart(sides_of(Made(flows(1), flows(2, rows=1600)))) == pytest.approx(0.5, abs=0.06)
    other = flows(2, rows=1600)
    moved = {n: v * 20 if n == "seconds" else v for n, v in other.columns.items()}
    assert tell_apart(sides_of(Made(flows(1), replace(other, columns=moved)))) > 0.75
    assert tell_apart(sides_of(Made(flows(1, rows=200)))) is None
