"""Scaling against scikit-learn, and that order, ties and extremes come out as promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from tocsin.features.scaling import SPREAD, Moments, Quantiles, fit_scaler, restore_scaler

SCALINGS = ["quantile", "standard", "log"]
finite = st.floats(allow_nan=False, allow_infinity=False)


def flows(rows: int = 5000) -> np.ndarray:
    """[rows, 5] as flows are: heavy tails, half zeros, few distinct values, no ties, two values."""
    rng = np.random.default_rng(0)
    half = np.where(rng.random(rows) < 0.5, 0.0, rng.lognormal(8, 3, rows))
    few, two = rng.integers(0, 7, rows), rng.random(rows) < 0.1
    return np.stack([rng.lognormal(2, 2, rows), half, few, rng.normal(size=rows), two], axis=1).astype(float)


@pytest.mark.parametrize(("output", "tolerance"), [("uniform", 1e-9), ("normal", 2e-3)])
def test_quantiles_are_scikit_learns(output: str, tolerance: float):
    train, new = flows(), flows(20_000)[5000:]
    theirs = QuantileTransformer(n_quantiles=1000, output_distribution=output, subsample=None).fit(train)
    ours = Quantiles.fit(list(train.T), 1000, output)
    for x in (train, new):
        np.testing.assert_allclose(ours.scale(x.T).T, theirs.transform(x), rtol=0, atol=tolerance)


def test_linear_knots_alone_are_further_from_scikit_learn():
    """Negative control: without the knots in the tails the same comparison fails."""
    train = flows()[:, :1]
    theirs = QuantileTransformer(n_quantiles=1000, output_distribution="normal", subsample=None).fit(train)
    knots = np.quantile(train[:, 0], np.linspace(0, 1, 1000))
    interpolated = np.interp(train[:, 0], knots, theirs.transform(knots[:, None])[:, 0])
    assert np.abs(interpolated - theirs.transform(train)[:, 0]).max() > 2e-3


def test_standard_is_scikit_learns():
    train = flows()
    ours = Moments.fit(list(train.T), log=False).scale(train.T).T
    np.testing.assert_allclose(
        ours, np.clip(StandardScaler().fit_transform(train), -SPREAD, SPREAD), atol=1e-9
    )


def test_log_has_mean_0_and_deviation_1():
    scaled = Moments.fit(list(flows().T), log=True).scale(flows().T)
    np.testing.assert_allclose(scaled.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("scaling", SCALINGS)
@given(train=st.lists(finite, max_size=60), new=st.lists(finite, min_size=1, max_size=40))
def test_order_is_kept_and_everything_is_finite(scaling, train, new):
    new = np.sort(np.array(new + train))
    scaler = fit_scaler(scaling, [np.array(train)], 10)
    scaled = scaler.scale(new[None])[0]
    assert np.isfinite(scaled.astype(np.float32)).all()
    assert (np.diff(scaled) >= 0).all()


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=200, unique=True))
def test_distinct_training_values_stay_distinct(train):
    values = np.sort(np.array(train, dtype=float))
    scaled = fit_scaler("quantile", [values], 1000).scale(values[None])[0]
    assert (np.diff(scaled.astype(np.float32)) > 0).all()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_constant_is_0(scaling):
    assert fit_scaler(scaling, [np.full(1000, 0.1)], 100).scale(np.array([[0.1]]))[0, 0] == 0


def test_values_beyond_training_count_as_the_nearest():
    scaler = fit_scaler("quantile", [np.arange(100.0)], 100)
    low, first, last, high = scaler.scale(np.array([[-1e300, 0, 99, 1e300]]))[0]
    assert (low, high) == (first, last) == pytest.approx((-5.1993, 5.1993), abs=1e-3)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_restored_is_equal(scaling):
    values, x = list(flows().T), flows(7).T
    scaler = fit_scaler(scaling, values, 100)
    assert restore_scaler(scaling, scaler.tensors()).scale(x).tobytes() == scaler.scale(x).tobytes()


@pytest.mark.parametrize("name", ["knots", "low", "mid", "high"])
def test_tables_that_do_not_rise_are_refused(name):
    tensors = dict(fit_scaler("quantile", list(flows().T), 50).tensors())
    tensors[name] = tensors[name][:, ::-1]
    with pytest.raises(ValueError, match="do not rise"):
        restore_scaler("quantile", tensors)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_deviation_that_is_not_positive_is_refused(bad):
    with pytest.raises(ValueError, match="do not fit"):
        restore_scaler("log", {"mean": np.zeros(1), "deviation": np.full(1, bad)})
