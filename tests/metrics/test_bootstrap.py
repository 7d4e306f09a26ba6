"""Oracles: scipy.stats.bootstrap, and coverage of a known truth."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import bootstrap as oracle

from tocsin.metrics.bootstrap import (
    BLOCKS,
    Resampling,
    bca,
    bca_p,
    jackknife_blocks,
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


def made_rows(rows, seed, bend):
    """Probabilities that are off by a wave of height `bend`, and the calibration error that this is."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.5, 0.5, rows)
    true = np.clip(probability + bend * np.sin(6 * probability), 0, 1)
    return (rng.random(rows) < true).astype(int), probability, true


def true_error(bend):
    _, probability, true = made_rows(1_000_000, 99, bend)
    bins = np.minimum((probability * 15).astype(int), 14)
    return np.abs(np.bincount(bins, true - probability)).sum() / len(probability)


@pytest.mark.parametrize("bend", [0.0, 0.05, 0.1])
def test_the_calibration_error_without_its_bias(bend):
    """R30: 500 rows of perfectly calibrated scores show an error of 0.05; most of that must go."""
    found = []
    for seed in range(25):
        truth, probability, _ = made_rows(500, seed, bend)
        metrics = evaluate_binary(truth, probability, 0.5, how=Resampling(100, seed)).metrics
        assert metrics[DEBIASED].low <= metrics[DEBIASED].value <= metrics[DEBIASED].high
        found.append((metrics["ece"].value, metrics[DEBIASED].value))
    raw, debiased = np.mean(found, axis=0) - true_error(bend)
    assert raw > 0.015
    assert abs(debiased) < 0.6 * raw
    assert bend or debiased < 0.4 * raw


def test_a_p_value_is_where_the_interval_ends():
    """An interval of level 1 - p touches the null; one that is any wider holds it."""
    values = np.random.default_rng(12).exponential(size=60) - 0.9
    replicates = np.array(
        [np.average(values, weights=c) for c in resample(np.zeros(60), Resampling(4000, 1))]
    )
    left_out = np.array([np.average(values, weights=c) for c in leave_out(np.arange(60))])
    p = bca_p(replicates, values.mean(), left_out)
    assert 0.01 < p < 0.9
    low, high = bca(replicates, values.mean(), left_out, 1 - p)
    assert min(abs(low), abs(high)) < 0.005
    assert bca(replicates, values.mean(), left_out, 1 - p / 2)[0] < 0 < high


def test_a_p_value_is_no_smaller_than_the_resamples_can_show():
    apart, jackknife = np.linspace(1, 2, 999), np.linspace(1.4, 1.6, 50)
    assert bca_p(apart, 1.5, jackknife) == pytest.approx(2 / 1000)
    assert bca_p(apart, 1.9, jackknife) == pytest.approx(2 / 1000)  # however biased the replicates
    assert bca_p(np.zeros(999), 0.0, np.zeros(50)) == 1
    assert np.isnan(bca_p(np.array([np.nan]), 0.0, jackknife))


def test_blocks_of_the_jackknife_hold_both_classes_or_whole_groups():
    truth = np.array([0] * 900 + [1] * 500)
    blocks = jackknife_blocks(truth, Resampling(seed=1))
    for value, least in ((0, 4), (1, 2)):
        sizes = np.bincount(blocks[truth == value], minlength=BLOCKS)
        assert sizes.min() >= least
        assert np.ptp(sizes) <= 1
    group = np.random.default_rng(0).integers(0, 300, 1400)
    blocks = jackknife_blocks(truth, Resampling(seed=1, group=group))
    assert all(len(set(blocks[group == g])) == 1 for g in np.unique(group))


def test_a_perfect_score_on_few_rows_is_not_perfect_for_sure():
    truth, probability = np.array([0] * 40 + [1] * 20), np.array([0.1] * 40 + [0.9] * 20)
    found = evaluate_binary(truth, probability, 0.5, how=Resampling(100)).metrics
    for name in ("roc_auc", "pr_auc", "f1"):
        assert found[name].value == found[name].high == 1
        assert found[name].low == pytest.approx(wilson(20, 20)[0])
    copies = np.repeat(np.arange(12), 5)
    grouped = evaluate_binary(truth, probability, 0.5, how=Resampling(100, group=copies)).metrics
    assert grouped["roc_auc"].low == pytest.approx(wilson(4, 4)[0])


@pytest.mark.parametrize(("negatives", "known"), [(150, False), (300, True)])
def test_recall_at_a_rate_that_the_rows_cannot_show_has_no_interval(negatives, known):
    truth = np.array([0] * negatives + [1] * 200)
    probability = np.random.default_rng(0).random(negatives + 200)
    found = evaluate_binary(truth, probability, 0.5, how=Resampling(100)).metrics
    assert (found["recall_at_fpr_0.01"].low is not None) == known
    assert found["recall_at_fpr_0.001"].low is None


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (40, 12_833)])
def test_wilson_equals_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_at_the_ends():
    assert wilson(0, 100)[0] == 0 < wilson(0, 100)[1] == pytest.approx(0.0370, abs=1e-4)
    assert wilson(100, 100)[0] < 1
    assert np.isnan(wilson(0, 0)).all()


COVERED = ("roc_auc", "pr_auc", "f1", "brier", "recall", "false_positive_rate")


def coverage(simulations, rows, resamples, shift=1.5, copies=None):
    """How often the intervals hold the true value; copies: rows come in groups of 1 to so many."""
    expected = measure(judge(*gaussian(np.random.default_rng(10**6), 2_000_000, shift), 0.5))
    hits = dict.fromkeys(COVERED, 0)
    for seed in range(simulations):
        rng, group = np.random.default_rng(seed), None
        truth, probability = gaussian(rng, rows, shift)
        if copies is not None:
            group = np.repeat(np.arange(rows), rng.integers(1, copies + 1, rows))
            truth, probability = truth[group], probability[group]
        found = evaluate_binary(truth, probability, 0.5, how=Resampling(resamples, seed, group=group)).metrics
        for name in hits:
            hits[name] += found[name].low <= expected[name] <= found[name].high
    return {name: count / simulations for name, count in hits.items()}


def test_coverage():
    """At 100 simulations, 95 % coverage falls below 0.88 once in about 500 times."""
    assert all(share >= 0.88 for share in coverage(100, 200, 200).values())


def test_coverage_of_copies():
    """Groups of one to five; without them, intervals are too narrow by half (negative control above)."""
    assert all(share >= 0.86 for share in coverage(60, 150, 200, copies=5).values())


@pytest.mark.release
@pytest.mark.timeout(900)
def test_coverage_at_full_size():
    """R28: 1,000 simulations, 93 to 97 %, less or more one standard error of the simulation."""
    found = coverage(1000, 400, 1000)
    assert all(0.923 <= share <= 0.977 for share in found.values()), found


@pytest.mark.release
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("shift", "copies"), [(3.3, None), (1.5, 5)])
def test_coverage_near_one_and_of_copies_at_full_size(shift, copies):
    """ROC-AUC of 0.99, where percentiles miss on one side; and groups, whose hull with Wilson's may be too wide."""
    found = coverage(1000, 400, 1000, shift, copies)
    shares = {name: found.pop(name) for name in ("recall", "false_positive_rate")}
    assert all(0.923 <= share <= 0.977 for share in found.values()), found
    assert all(share >= 0.923 for share in shares.values()), shares


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
