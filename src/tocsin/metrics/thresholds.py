"""The threshold that keeps false positives below a stated rate, chosen on validation rows."""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from scipy.stats import beta

from tocsin.core.errors import InputError


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and what stands behind it."""

    value: float
    """A row is positive at or above it. Above 1 where only flagging nothing keeps the rate."""
    max_false_positive_rate: float
    negatives: int
    """Validation negatives that it was chosen on."""
    false_positives: int
    """How many of them it flags."""
    upper_bound: float
    """The true rate lies below it with 95 % confidence (one-sided Clopper-Pearson)."""


def needed_negatives(max_rate: float) -> int:
    """Return how many negatives it takes before one false positive is within the rate."""
    return ceil(1 / max_rate - 1e-9)


def choose_threshold(
    truth: np.ndarray, probability: np.ndarray, max_rate: float, confidence: float | None = None
) -> Threshold:
    """Choose the lowest observed score at which the share of flagged negatives is at most `max_rate`.

    Only the order of the scores matters, so calibration changes no decision; tied scores fall on one side.
    With `confidence`, the upper bound of the rate, and not just the rate, stays within `max_rate`.
    truth: [N] of 0 and 1; probability: [N]. InputError where there are too few negatives.
    """
    falling = np.sort(probability[truth == 0])[::-1]
    size = len(falling)
    if size < needed_negatives(max_rate):
        raise InputError(
            f"a false-positive rate of {max_rate:g} needs at least {needed_negatives(max_rate)} negative"
            f" validation rows, there are {size}: add rows or raise evaluation.max_false_positive_rate"
        )
    allowed = floor(max_rate * size + 1e-9) if confidence is None else _bounded(size, max_rate, confidence)
    value = _above(probability, falling[allowed])
    flagged = int(np.sum(falling >= value))
    return Threshold(value, max_rate, size, flagged, upper_bound(flagged, size))


def _above(probability: np.ndarray, score: float) -> float:
    higher = probability[probability > score]
    return float(higher.min()) if len(higher) else float(np.nextafter(np.float64(score), 2.0))


def _bounded(size: int, max_rate: float, confidence: float) -> int:
    """Return the largest number of false positives whose upper bound is within the rate."""
    if upper_bound(0, size, confidence) > max_rate:
        needed = ceil(np.log(1 - confidence) / np.log1p(-max_rate))
        raise InputError(
            f"a false-positive rate of {max_rate:g} at {confidence:.0%} confidence needs at least {needed}"
            f" negative validation rows, there are {size}"
        )
    low, high = 0, floor(max_rate * size + 1e-9)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if upper_bound(middle, size, confidence) <= max_rate else (low, middle - 1)
    return low


def upper_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a share."""
    return float(beta.ppf(confidence, successes + 1, trials - successes)) if successes < trials else 1.0
