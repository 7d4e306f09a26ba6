"""Oracles: scipy's binomial test, a worked example of Holm, simulation of groups and of the power."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tocsin.metrics.significance import (
    EXACT,
    decide,
    detectable,
    holm,
    mcnemar,
    needed_rows,
    standard_error,
    units_behind,
)


def answers(only_first, only_second, both=50, neither=20):
    """Whether each of two models is right: rows of the four kinds."""
    first = np.repeat([True, False, True, False], [only_first, only_second, both, neither])
    second = np.repeat([False, True, True, False], [only_first, only_second, both, neither])
    return first, second


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 0), (1, 0), (5, 0), (6, 1), (12, 3), (40, 40), (300, 220)]
)
def test_mcnemar_equals_the_binomial_test(only_first, only_second):
    found = mcnemar(*answers(only_first, only_second))
    count = only_first + only_second
    assert (found.only_first, found.only_second, found.exact) == (only_first, only_second, True)
    assert found.p == pytest.approx(binomtest(only_first, count).pvalue if count else 1.0, abs=1e-12)


def test_many_discordant_rows_are_approximated_closely():
    found = mcnemar(*answers(EXACT // 2 + 70, EXACT // 2))
    assert not found.exact
    assert found.p == pytest.approx(binomtest(EXACT // 2 + 70, EXACT + 70).pvalue, rel=0.1)


def test_rows_of_a_group_are_one_vote():
    """Ten copies of every row: the test sees through them, and without the groups it does not."""
    first, second = (np.repeat(v, 10) for v in answers(9, 2))
    group = np.repeat(np.arange(len(first) // 10), 10)
    assert mcnemar(first, second, group).p == pytest.approx(binomtest(2, 11).pvalue)
    assert mcnemar(first, second).p < 1e-9


def test_groups_of_any_size_equal_drawn_signs():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 120, 600)
    first, second = rng.random(600) < 0.7, rng.random(600) < 0.6
    net = np.bincount(group, first.astype(int) - second.astype(int))
    drawn = np.abs(rng.choice([-1, 1], (40_000, len(net))) @ net) >= abs(net.sum())
    assert mcnemar(first, second, group).p == pytest.approx(drawn.mean(), abs=0.01)


def test_holm_by_hand():
    """.005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not fall below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    found = holm([0.02, float("nan"), 0.9])
    assert found[0] == pytest.approx(0.04)  # two tests were made, not three
    assert np.isnan(found[1])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def false_families(adjust, families, tests):
    rng = np.random.default_rng(4)
    return np.mean([min(adjust(rng.random(tests).tolist())) < 0.05 for _ in range(families)])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    rejected = set()
    for step, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] * (len(p_values) - step) > 0.05:
            break
        rejected.add(int(i))
    assert {i for i, p in enumerate(holm(p_values)) if p <= 0.05} == rejected


def test_holm_keeps_the_chance_of_any_false_alarm():
    assert false_families(holm, 2000, 12) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert false_families(lambda p: p, 2000, 12) > 0.4  # negative control: twelve looks at 5 % each


def power_at(detected, rows, trials, seed=0):
    """Share of trials in which McNemar's test finds a difference in recall of `detected` times the minimum."""
    rng = np.random.default_rng(seed)
    discordant = 0.1
    minimum = detectable(np.sqrt(discordant / rows))
    difference = detected * minimum
    only_first = (discordant + difference) / 2
    kinds = rng.choice(3, (trials, rows), p=[only_first, discordant - only_first, 1 - discordant])
    return np.mean([mcnemar(k == 0, k == 1).p < 0.05 for k in kinds])


def test_the_minimum_is_found_four_times_of_five():
    """The exact test gives a few points of power away; half the difference must be found far more rarely."""
    assert 0.72 <= power_at(1.0, 1000, 400) <= 0.86
    assert power_at(0.5, 1000, 400) < 0.4
    assert power_at(0.0, 1000, 400) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.release
def test_power_at_full_size():
    """R28: power is what was promised, within the error of 2,000 simulations and the exact test's caution."""
    assert 0.74 <= power_at(1.0, 2000, 2000, seed=1) <= 0.83


def test_two_that_agree_everywhere_are_not_known_to_be_equal():
    zeros = np.zeros(500)
    assert standard_error(zeros, 20) == 1 / 20
    assert decide("recall", 0.0, False, detectable(standard_error(zeros, 20)), 0.01) == "under-powered"
    assert decide("recall", 0.0, False, detectable(standard_error(zeros, 2000)), 0.01) == "no evidence"
    assert np.isnan(standard_error(zeros, 0))


@pytest.mark.parametrize(
    ("metric", "difference", "significant", "minimum", "verdict"),
    [
        ("recall", 0.1, True, 0.5, "better"),
        ("recall", -0.1, True, 0.5, "worse"),
        ("false_positive_rate", 0.1, True, 0.5, "worse"),
        ("false_positive_rate", -0.1, True, 0.5, "better"),
        ("f1", 0.1, False, 0.005, "no evidence"),
        ("f1", 0.1, False, 0.5, "under-powered"),
        ("f1", 0.1, False, float("nan"), "under-powered"),
    ],
)
def test_verdicts(metric, difference, significant, minimum, verdict):
    assert decide(metric, difference, significant, minimum, 0.01) == verdict


def test_a_family_of_tests_needs_a_larger_difference():
    assert detectable(0.01) == pytest.approx(0.01 * (1.959964 + 0.841621), rel=1e-5)
    assert detectable(0.01, tests=10) > detectable(0.01, tests=2) > detectable(0.01)
    assert needed_rows(1000, 0.04, 0.01) == 16_000
    assert [units_behind(m, (30, 7)) for m in ("recall", "false_positive_rate", "roc_auc")] == [7, 30, 7]
