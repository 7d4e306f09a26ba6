"""Oracles: scipy.stats.bootstrap, and coverage of a known truth."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from scipy.stats import bootstrap as oracle

from tocsin.metrics.bootstrap import (
    Resampling,
    bca,
    leave_out,
    percentile,
    reflected,
    replicate,
    resample,
    wilson,
)
from tocsin.metrics.classification import METRICS, judge, measure
from tocsin.metrics.evaluation import DEBIASED, evaluate_binary


def gaussian(rng, rows, shift=1.5):
    """Half negatives at 0, half positives at `shift`; the true ROC-AUC is norm.cdf(shift / sqrt(2))."""
    truth = np.arange(rows) % 2
    return truth, 1 / (1 + np.exp(-(rng.normal(shift * truth, 1) - shift / 2)))


def test_resamples_keep_each_class_and_repeat_with_the_seed():
    truth = np.array([0] * 30 + [1] * 7)
    draws = list(resample(truth, Resampling(50, seed=3)))
    assert all(c[truth == 0].sum() == 30 and c[truth == 1].sum() == 7 for c in draws)
    again, other = (list(resample(truth, Resampling(50, seed=s))) for s in (3, 4))
    assert np.array_equal(draws, again)
    assert not np.array_equal(draws, other)


def test_groups_are_drawn_whole():
    group = np.array(["b", "a", "b", "c", "a", "b"])
    for counts in resample(np.array([0, 1, 0, 1, 0, 1]), Resampling(50, group=group)):
        assert all(len(set(counts[group == g])) == 1 for g in "abc")
        assert sum(counts[group == g][0] for g in "abc") == 3


def test_statistics_share_their_resamples():
    truth, probability = gaussian(np.random.default_rng(0), 100)
    judged = judge(truth, probability, 0.5)
    found = replicate(truth, {name: lambda c: measure(judged, c) for name in "ab"}, Resampling(20))
    assert np.array_equal(found["a"]["roc_auc"], found["b"]["roc_auc"])
    assert found["a"]["roc_auc"].std() > 0


@pytest.mark.parametrize(("method", "tolerance"), [("percentile", 0.03), ("BCa", 0.03)])
def test_intervals_equal_scipy(method, tolerance):
    """A skewed statistic, so that BCa differs from the percentiles by more than the tolerance."""
    values = np.random.default_rng(5).exponential(size=40)
    statistic = lambda c: {"spread": float(np.cov(values, fweights=c, ddof=0))}  # noqa: E731
    how = Resampling(20_000, seed=1, group=np.arange(40))
    replicates = replicate(np.zeros(40), {"": statistic}, how)[""]["spread"]
    expected = oracle(
        (values,), np.var, n_resamples=20_000, method=method, rng=np.random.default_rng(2)
    ).confidence_interval
    left_out = np.array([statistic(c)["spread"] for c in leave_out(np.arange(40))])
    ours = percentile(replicates) if method == "percentile" else bca(replicates, np.var(values), left_out)
    assert ours == pytest.approx((expected.low, expected.high), rel=tolerance)
    other = bca(replicates, np.var(values), left_out) if method == "percentile" else percentile(replicates)
    assert abs(other[1] - expected.high) > tolerance * expected.high


def test_bca_without_a_correction_to_make():
    ones = np.ones(100)
    assert bca(ones, 1.0, ones) == (1.0, 1.0)
    assert bca(ones, 2.0, ones) == (1.0, 1.0)
    assert np.isnan(bca(ones * np.nan, 1.0, ones)).all()


def test_undefined_replicates_are_left_out():
    assert percentile(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(percentile(np.array([np.nan]))).all()


def test_reflection_holds_the_value_where_the_percentiles_miss_it():
    """The calibration error of perfectly calibrated rows: every resample shows more of it."""
    rng = np.random.default_rng(6)
    probability = rng.random(2000)
    truth = (rng.random(2000) < probability).astype(int)
    judged = judge(truth, probability, 0.5)
    value = measure(judged)["ece"]
    replicates = np.array([measure(judged, c)["ece"] for c in resample(truth, Resampling(300))])
    assert replicates.mean() > value
    low, high = reflected(replicates, value)
    assert 0 <= low < high < percentile(replicates)[1]


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (40, 12_833)])
def test_wilson_equals_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_at_the_ends():
    assert wilson(0, 100)[0] == 0 < wilson(0, 100)[1] == pytest.approx(0.0370, abs=1e-4)
    assert wilson(100, 100)[0] < 1
    assert np.isnan(wilson(0, 0)).all()


def coverage(simulations, rows, resamples):
    truth_auc, hits = norm.cdf(1.5 / np.sqrt(2)), {"roc_auc": 0, "recall": 0, "false_positive_rate": 0}
    expected = {"roc_auc": truth_auc, "recall": norm.cdf(0.75), "false_positive_rate": norm.cdf(-0.75)}
    for seed in range(simulations):
        truth, probability = gaussian(np.random.default_rng(seed), rows)
        found = evaluate_binary(truth, probability, 0.5, how=Resampling(resamples, seed)).metrics
        for name in hits:
            hits[name] += found[name].low <= expected[name] <= found[name].high
    return {name: count / simulations for name, count in hits.items()}


def test_coverage():
    """At 100 simulations, 95 % coverage falls below 0.88 once in about 500 times."""
    assert all(share >= 0.88 for share in coverage(100, 200, 200).values())


@pytest.mark.release
@pytest.mark.timeout(900)
def test_coverage_at_full_size():
    """R28: 1,000 simulations, 93 to 97 %."""
    found = coverage(1000, 400, 1000)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def test_clustered_rows_need_wider_intervals():
    """Twenty copies of each row: as many rows, no more knowledge."""
    truth, probability = gaussian(np.random.default_rng(8), 100)
    truth, probability, group = (np.repeat(v, 20) for v in (truth, probability, np.arange(100)))
    naive = evaluate_binary(truth, probability, 0.5, how=Resampling(1000)).metrics
    honest = evaluate_binary(truth, probability, 0.5, how=Resampling(1000, group=group)).metrics
    for name in ("roc_auc", "accuracy", "recall", "f1", "brier"):
        widths = [m[name].high - m[name].low for m in (naive, honest)]
        assert 3 < widths[1] / widths[0] < 6, name  # sqrt(20) = 4.5


@pytest.mark.release
def test_speed():
    """1,000 resamples of every metric on 25,000 rows in a few seconds."""
    truth, probability = gaussian(np.random.default_rng(9), 25_000)
    start = time.perf_counter()
    found = evaluate_binary(truth, probability, 0.5)
    assert time.perf_counter() - start < 10
    assert set(found.metrics) == {*METRICS, DEBIASED}
