"""Temperature scaling: one number that makes probabilities mean what they say, and changes no ranking.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit

HOTTEST = 20.0


@dataclass(frozen=True)
class Temperature:
    """What the logits are divided by, and what it brought on the rows that it was fitted on."""

    temperature: float
    loss_before: float
    """Mean negative log-likelihood at temperature 1."""
    loss_after: float
    note: str = ""
    """Why the value was left at 1, or the empty string."""


def fit_temperature(truth: np.ndarray, logit: np.ndarray) -> Temperature:
    """Find the temperature in [1/20, 20] that minimises the loss; 1.0, with a note, where there is none.

    truth: [N] of 0 and 1; logit: [N] finite. The loss is convex in 1/temperature: its slope has one root.
    """
    truth, logit = np.asarray(truth, dtype=np.float64), np.asarray(logit, dtype=np.float64)
    before = _loss(truth, logit)
    note = _degeneracy(truth, logit)
    if note:
        return Temperature(1.0, before, before, note)
    sharpness = float(brentq(_slope, 1 / HOTTEST, HOTTEST, args=(truth, logit)))
    return Temperature(1 / sharpness, before, _loss(truth, logit * sharpness))


def _degeneracy(truth: np.ndarray, logit: np.ndarray) -> str:
    if not len(truth) or truth.min() == truth.max():
        return "the rows hold one class only"
    if not logit.any():
        return "the scores are all 0: no scale changes them"
    if _slope(HOTTEST, truth, logit) <= 0:
        return "the scores separate the classes (almost) perfectly: any sharper scale would look better"
    if _slope(1 / HOTTEST, truth, logit) >= 0:
        return "the scores do not rise with the truth: any flatter scale would look better"
    return ""


def _slope(sharpness: float, truth: np.ndarray, logit: np.ndarray) -> float:
    return float(np.mean(logit * (expit(sharpness * logit) - truth)))


def _loss(truth: np.ndarray, logit: np.ndarray) -> float:
    if not len(truth):
        return float("nan")
    return float(-np.mean(truth * log_expit(logit) + (1 - truth) * log_expit(-logit)))
