"""Tests of a paired difference, and what they could have found: McNemar, Holm, minimum detectable effect, verdict.

Shapes: N rows, G groups, T tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Literal

import numpy as np
from scipy.stats import binom, norm

Outcome = Literal["better", "worse", "no evidence", "under-powered"]

LEVEL, POWER = 0.05, 0.8
EXACT = 1000
"""Up to so many discordant rows or groups the test is exact; above them the normal distribution is as good."""
LOWER_IS_BETTER = frozenset({"false_positive_rate", "brier", "ece", "ece_debiased"})
ROWS_BEHIND: Mapping[str, Literal["positives", "negatives", "rarer"]] = MappingProxyType(
    {"recall": "positives", "f1": "positives", "false_positive_rate": "negatives"}
)
"""The rows that a metric is a share of; any other rests on the rarer class."""


@dataclass(frozen=True)
class McNemar:
    """Rows that only one of two models answers rightly, and how likely so uneven a number is by chance."""

    only_first: int
    only_second: int
    p: float
    """Two-sided; 1 where no row tells the models apart."""
    exact: bool


def mcnemar(first: np.ndarray, second: np.ndarray, group: np.ndarray | None = None) -> McNemar:
    """Test whether two models are right on equally many rows.

    first, second: [N] bool, whether each was right. group: [N] or None; rows of a group count as one vote with
    the weight of its surplus, and under the null its sign is a coin: without groups that is the binomial test.
    Source: McNemar 1947; over groups, Fisher 1935, The Design of Experiments, section 21.
    """
    gain = first.astype(np.int64) - second.astype(np.int64)
    net = (
        gain
        if group is None
        else np.bincount(np.unique(group, return_inverse=True)[1], gain).astype(np.int64)
    )
    net = net[net != 0]
    exact = len(net) <= EXACT and np.abs(net).sum() <= 20 * EXACT
    p = _flips(net) if exact else float(2 * norm.sf(abs(net.sum()) / np.sqrt(np.sum(net**2.0))))
    return McNemar(int((gain > 0).sum()), int((gain < 0).sum()), min(p, 1.0), bool(exact))


def _flips(net: np.ndarray) -> float:
    """Return how often coins for the signs bring a sum that lies as far from 0, int64 [G] -> share."""
    chances, size = np.ones(1), 0  # of the sums -size, -size + 1, ... size
    for weight, count in zip(*np.unique(np.abs(net), return_counts=True), strict=True):
        spread = np.zeros(2 * weight * count + 1)
        spread[:: 2 * weight] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances, size = np.convolve(chances, spread), size + weight * count
    return float(chances[np.abs(np.arange(-size, size + 1)) >= abs(int(net.sum()))].sum())


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number: below 5 % each, the chance of any false alarm is at most 5 %.

    NaN (a test that could not be made) stays and does not count. Source: Holm 1979.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    order = [i for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    highest = 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, float(values[i]) * (len(order) - place)))
        adjusted[i] = highest
    return [float(v) for v in adjusted]


def standard_error(differences: np.ndarray, units: int) -> float:
    """Return the standard deviation of replicates [R], and at least the weight of one row or group of `units`.

    Two models that agree on every row are not known to agree on all others: one more row could differ.
    """
    known = differences[np.isfinite(differences)]
    if len(known) < 2 or not units:
        return float("nan")
    return float(max(np.std(known, ddof=1), 1 / units))


def detectable(error: float, tests: int = 1, power: float = POWER, level: float = LEVEL) -> float:
    """Return the true difference that a two-sided test with this standard error finds with this power.

    `tests` of one family share the level: the answer is that of the strictest of them.
    """
    return float((norm.ppf(1 - level / tests / 2) + norm.ppf(power)) * error)


def needed_rows(rows: int, minimum: float, wanted: float) -> int:
    """Return how many rows would make a minimum detectable difference as small as wanted; errors fall as 1/sqrt."""
    return ceil(rows * (minimum / wanted) ** 2)


def units_behind(metric: str, units: tuple[int, int]) -> int:
    """Return how many independent rows or groups a metric rests on; units: (negatives, positives)."""
    negatives, positives = units
    counts = {"positives": positives, "negatives": negatives, "rarer": min(units)}
    return counts[ROWS_BEHIND.get(metric, "rarer")]


def decide(metric: str, difference: float, significant: bool, minimum: float, smallest: float) -> Outcome:
    """Return the verdict on the first of two models.

    difference: first minus second; minimum: what could have been found; smallest: what is of interest.
    """
    if significant:
        return "better" if (difference > 0) != (metric in LOWER_IS_BETTER) else "worse"
    return "no evidence" if minimum <= smallest else "under-powered"  # NaN is under-powered
