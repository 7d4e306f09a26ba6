"""The threshold that keeps false positives below a stated rate, chosen on validation rows."""

from dataclasses import dataclass
from math import ceil, floor, log, log1p

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


def needed_negatives(max_rate: float, confidence: float | None = None) -> int:
    """Return how many negatives it takes before one false positive is within the rate.

    With `confidence`, before none at all proves the rate. Source: Clopper & Pearson 1934.
    """
    return ceil((1 / max_rate if confidence is None else log(1 - confidence) / log1p(-max_rate)) - 1e-9)


def check_negatives(group: np.ndarray, max_rate: float, confidence: float | None) -> None:
    """Raise InputError, with the needed number, where there are too few negatives for the rate.

    group: [negatives]; rows of one group count once, if a confidence is asked for.
    """
    if has_enough(group, max_rate, confidence):
        return
    have, needed, worth = len(group), needed_negatives(max_rate, confidence), _worth(group, confidence)
    sure = "" if confidence is None else f" at {confidence:.0%} confidence"
    copies = "" if worth > have - 1 else f", which for their near-duplicates are worth {floor(worth):,}"
    raise InputError(
        f"a false-positive rate of {max_rate:g}{sure} needs at least {needed:,} negative validation rows, there"
        f" are {have:,}{copies}: add rows, or raise split.valid or evaluation.max_false_positive_rate"
    )


def has_enough(group: np.ndarray, max_rate: float, confidence: float | None) -> bool:
    """Tell whether these negatives, [negatives] by group, can show the rate."""
    return _worth(group, confidence) >= needed_negatives(max_rate, confidence)


def _worth(group: np.ndarray, confidence: float | None) -> float:
    return len(group) if confidence is None else effective_size(group)


def effective_size(group: np.ndarray) -> float:
    """Return how many independent rows are worth as much as these, if rows of one group score alike.

    Source: Kish 1965, Survey Sampling, section 11.7: (sum of weights)^2 / sum of squared weights.
    """
    sizes = np.unique(group, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.sum(sizes**2)) if len(sizes) else 0.0


def choose_threshold(
    truth: np.ndarray,
    probability: np.ndarray,
    max_rate: float,
    confidence: float | None = None,
    group: np.ndarray | None = None,
) -> Threshold:
    """Choose the lowest observed score at which the share of flagged negatives is at most `max_rate`.

    Only the order of the scores matters, so calibration changes no decision; tied scores fall on one side.
    With `confidence`, the upper bound of the rate, and not just the rate, stays within `max_rate`.
    truth: [N] of 0 and 1; probability: [N]; group: [N], of which each weighs in the bound as one row.
    InputError where there are too few negatives.
    """
    negative = truth == 0
    group = np.flatnonzero(negative) if group is None else group[negative]
    check_negatives(group, max_rate, confidence)
    falling = np.sort(probability[negative])[::-1]
    size, worth = len(falling), effective_size(group)
    allowed = floor(max_rate * size + 1e-9)
    if confidence is not None:
        allowed = _bounded(allowed, worth / size, worth, max_rate, confidence)
    value = lowest_above(probability, falling[allowed])
    flagged = int(np.sum(falling >= value))
    return Threshold(value, max_rate, size, flagged, upper_bound(flagged * worth / size, worth))


def choose_band(truth: np.ndarray, probability: np.ndarray, own: np.ndarray, share: float) -> float:
    """Choose the lowest observed score from which at most `share` of the negatives lie below their threshold.

    truth: [N] of 0 and 1; probability: [N]; own: [N] thresholds. 0 where all may go to a person.
    """
    falling = np.sort(probability[(truth == 0) & (probability < own)])[::-1]
    allowed = floor(share * int(np.sum(truth == 0)) + 1e-9)
    return 0.0 if allowed >= len(falling) else lowest_above(probability, falling[allowed])


def lowest_above(probability: np.ndarray, score: float) -> float:
    """Return the lowest observed score above one, or the next number where there is none."""
    higher = probability[probability > score]
    return float(higher.min()) if len(higher) else float(np.nextafter(np.float64(score), 2.0))


def _bounded(most: int, scale: float, size: float, max_rate: float, confidence: float) -> int:
    """Return the largest number of false positives, up to `most`, whose upper bound is within the rate."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        within = upper_bound(middle * scale, size, confidence) <= max_rate
        low, high = (middle, high) if within else (low, middle - 1)
    return low


def upper_bound(successes: float, trials: float, confidence: float = 0.95) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a share; numbers need not be whole."""
    return float(beta.ppf(confidence, successes + 1, trials - successes)) if successes < trials else 1.0
