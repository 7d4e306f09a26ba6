"""The threshold rule: exact, monotone, blind to calibration, and honest about what stands behind it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tocsin.core.errors import InputError
from tocsin.metrics.thresholds import choose_threshold, needed_negatives, upper_bound


@st.composite
def validation(draw):
    """Twenty negatives or more, so that every rate below can be kept; many ties."""
    grid = st.integers(0, 20).map(lambda i: i / 20)
    negatives, positives = draw(st.lists(grid, min_size=20, max_size=50)), draw(st.lists(grid, max_size=30))
    order = draw(st.permutations(range(len(negatives) + len(positives))))
    truth, score = np.array([0] * len(negatives) + [1] * len(positives)), np.array(negatives + positives)
    return truth[order], score[order]


RATES = st.sampled_from([0.05, 0.1, 0.2, 0.4])


@given(validation(), RATES)
def test_the_lowest_threshold_that_keeps_the_rate(rows, rate):
    truth, score = rows
    chosen = choose_threshold(truth, score, rate)
    negatives = score[truth == 0]
    assert chosen.false_positives == (negatives >= chosen.value).sum() <= rate * len(negatives) + 1e-9
    lower = score[score < chosen.value]
    if len(lower):
        assert (negatives >= lower.max()).mean() > rate


@given(validation())
def test_a_higher_rate_never_raises_the_threshold(rows):
    truth, score = rows
    values = [choose_threshold(truth, score, rate).value for rate in (0.05, 0.1, 0.2, 0.4)]
    assert values == sorted(values, reverse=True)


@given(validation(), RATES)
def test_calibration_changes_no_decision(rows, rate):
    truth, score = rows
    plain, curved = choose_threshold(truth, score, rate), choose_threshold(truth, score**2, rate)
    assert np.array_equal(score >= plain.value, score**2 >= curved.value)


def test_ties_fall_on_one_side():
    truth, score = np.zeros(100, dtype=int), np.array([0.9] * 2 + [0.1] * 98)
    assert choose_threshold(truth, score, 0.01).false_positives == 0
    assert choose_threshold(truth, score, 0.02).false_positives == 2


def test_flagging_nothing_may_be_all_that_keeps_the_rate():
    chosen = choose_threshold(np.zeros(100, dtype=int), np.ones(100), 0.01)
    assert chosen.value > 1
    assert chosen.false_positives == 0


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 100), (0.001, 1000), (0.03, 34), (0.1, 10)])
def test_too_few_negatives_are_refused_with_the_number(rate, needed):
    assert needed_negatives(rate) == needed
    score = np.linspace(0, 1, needed)
    assert choose_threshold(np.zeros(needed), score, rate).negatives == needed
    with pytest.raises(InputError, match=f"at least {needed:,} negative.* there are {needed - 1}"):
        choose_threshold(np.zeros(needed - 1), score[1:], rate)


def test_the_bound_is_that_of_clopper_and_pearson():
    expected = binomtest(3, 200, alternative="less").proportion_ci(0.95, method="exact").high
    assert upper_bound(3, 200) == pytest.approx(expected)
    assert upper_bound(0, 299) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert upper_bound(5, 5) == 1


@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_a_confident_threshold_takes_the_largest_count_within_the_bound(rate):
    score = np.linspace(0, 1, 20_000)
    chosen = choose_threshold(np.zeros(20_000), score, rate, confidence=0.95)
    assert (
        upper_bound(chosen.false_positives, 20_000) <= rate < upper_bound(chosen.false_positives + 1, 20_000)
    )
    assert chosen.false_positives < choose_threshold(np.zeros(20_000), score, rate).false_positives


def test_confidence_needs_more_negatives():
    with pytest.raises(InputError, match=r"at least 299 negative.* there are 298"):
        choose_threshold(np.zeros(298), np.linspace(0, 1, 298), 0.01, confidence=0.95)
    assert choose_threshold(np.zeros(299), np.linspace(0, 1, 299), 0.01, confidence=0.95).false_positives == 0


def kept(rate, negatives, trials, confidence):
    """Share of trials in which the true rate (scores are uniform: 1 - threshold) is within the target."""
    rng, truth = np.random.default_rng(11), np.zeros(negatives)
    chosen = [choose_threshold(truth, rng.random(negatives), rate, confidence).value for _ in range(trials)]
    return np.mean([1 - value <= rate for value in chosen])


@pytest.mark.parametrize(("rate", "negatives"), [(0.01, 3000), (0.001, 10_000)])
def test_the_true_rate_stays_below_with_confidence(rate, negatives):
    assert kept(rate, negatives, 200, 0.95) >= 0.92
    assert (
        kept(rate, negatives, 200, None) < 0.75
    )  # negative control: the plain rule keeps it about half the time


@pytest.mark.release
@pytest.mark.parametrize(("rate", "negatives"), [(0.01, 3000), (0.001, 10_000)])
def test_the_true_rate_stays_below_at_full_size(rate, negatives):
    """R29: 95 % of 1,000, less three standard errors of the simulation."""
    assert kept(rate, negatives, 1000, 0.95) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 1000)
