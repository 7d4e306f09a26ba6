"""Temperature scaling finds the temperature that was put in, and says when there is none."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss

from tocsin.metrics.calibration import fit_temperature
from tocsin.metrics.classification import judge, measure


def calibrated(rows=20_000):
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, rows)
    return (rng.random(rows) < expit(logit)).astype(int), logit


@pytest.mark.parametrize("planted", [0.25, 1.0, 3.0, 10.0])
def test_the_planted_temperature_is_found(planted):
    truth, logit = calibrated()
    found = fit_temperature(truth, logit * planted)
    assert found.temperature == pytest.approx(planted, rel=0.05)
    assert found.note == ""
    assert found.loss_before == pytest.approx(np.logaddexp(0, (1 - 2 * truth) * logit * planted).mean())
    assert found.loss_after <= found.loss_before
    before, after = (
        measure(judge(truth, expit(logit * planted / t), 0.5))["ece"] for t in (1, found.temperature)
    )
    assert after < 0.02
    assert after < before or planted == 1


def test_the_same_minimum_by_another_method():
    truth, logit = calibrated(500)
    loss = lambda t: log_loss(truth, expit(5 * logit / t))  # noqa: E731
    assert fit_temperature(truth, 5 * logit).temperature == pytest.approx(
        minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x, rel=1e-5
    )


@pytest.mark.parametrize(
    ("truth", "logit", "why"),
    [
        ([1, 1, 1], [1.0, 2.0, -1.0], "one class"),
        ([], [], "one class"),
        ([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0], "separate"),
        ([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0], "do not rise"),
        ([1, 0], [0.0, 0.0], "all 0"),
    ],
)
def test_where_there_is_no_minimum_it_is_one_and_says_why(truth, logit, why):
    found = fit_temperature(np.array(truth), np.array(logit))
    assert found.temperature == 1.0
    assert why in found.note
    assert found.loss_after == pytest.approx(found.loss_before, nan_ok=True)
