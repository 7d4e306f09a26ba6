"""Bootstrap intervals: resamples are counts of rows, so that what was sorted once stays sorted.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 14.

Shapes: N rows, R resamples, J jackknife values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import norm

Interval = tuple[float, float]
UNKNOWN: Interval = (float("nan"), float("nan"))
BLOCKS = 200
"""Blocks of the jackknife: enough for the one number that is taken from it, the skewness of the influences."""

Statistic = Callable[[np.ndarray], Mapping[str, float]]
"""Counts of rows [N] -> named numbers."""


@dataclass(frozen=True)
class Resampling:
    """How rows are drawn again: within each class, or, where rows depend on each other, in whole groups."""

    resamples: int = 1000
    seed: int = 42
    level: float = 0.95
    group: np.ndarray | None = None
    """[N] of anything that sorts; rows of one group are drawn together, and classes are not kept apart."""


def resample(truth: np.ndarray, how: Resampling) -> Iterator[np.ndarray]:
    """Yield R times [N] int64: how often each row was drawn. Equal seeds give equal draws."""
    rng = np.random.default_rng(how.seed)
    if how.group is None:
        strata = [np.flatnonzero(truth == value) for value in np.unique(truth)]
        for _ in range(how.resamples):
            counts = np.empty(len(truth), dtype=np.int64)
            for rows in strata:
                counts[rows] = _draw(rng, len(rows))
            yield counts
    else:
        names, place = np.unique(how.group, return_inverse=True)
        for _ in range(how.resamples):
            yield _draw(rng, len(names))[place]


def _draw(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.bincount(rng.integers(size, size=size), minlength=size)


def replicate(
    truth: np.ndarray, statistics: Mapping[str, Statistic], how: Resampling
) -> dict[str, dict[str, np.ndarray]]:
    """Compute every statistic on the same resamples: name -> metric -> [R]; so differences are paired.

    Each statistic takes counts [N] and returns named numbers.
    """
    return _collect(resample(truth, how), statistics)


def _collect(
    draws: Iterator[np.ndarray], statistics: Mapping[str, Statistic]
) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in statistics}
    for counts in draws:
        for name, statistic in statistics.items():
            found[name].append(statistic(counts))
    return {name: {m: np.array([v[m] for v in values]) for m in values[0]} for name, values in found.items()}


@dataclass(frozen=True)
class Redrawn:
    """What one statistic did on resamples, and with a block of rows left out: metric -> [R], metric -> [J]."""

    replicates: Mapping[str, np.ndarray]
    left_out: Mapping[str, np.ndarray]

    def interval(self, metric: str, value: float, level: float = 0.95) -> Interval:
        """Return the bias-corrected and accelerated interval of a metric."""
        return bca(self.replicates[metric], value, self.left_out[metric], level)

    def minus(self, other: "Redrawn") -> "Redrawn":
        """Return the paired differences of the metrics that both have."""
        shared = [m for m in self.replicates if m in other.replicates]
        return Redrawn(
            {m: self.replicates[m] - other.replicates[m] for m in shared},
            {m: self.left_out[m] - other.left_out[m] for m in shared},
        )


def redraw(truth: np.ndarray, statistics: Mapping[str, Statistic], how: Resampling) -> dict[str, Redrawn]:
    """Compute every statistic on the same resamples and with the same blocks left out, so that all are paired."""
    drawn = replicate(truth, statistics, how)
    left_out = _collect(leave_out(jackknife_blocks(truth, how)), statistics)
    return {name: Redrawn(drawn[name], left_out[name]) for name in statistics}


def jackknife_blocks(truth: np.ndarray, how: Resampling) -> np.ndarray:
    """Return the block of each row, int64 [N], up to BLOCKS of them, drawn as `resample` draws.

    Each class is dealt out evenly; where there are groups, whole groups are.
    """
    rng = np.random.default_rng(how.seed)
    if how.group is not None:
        names, place = np.unique(how.group, return_inverse=True)
        dealt: np.ndarray = (rng.permutation(len(names)) % BLOCKS)[place]
        return dealt
    blocks = np.empty(len(truth), dtype=np.int64)
    for value in np.unique(truth):
        rows = np.flatnonzero(truth == value)
        blocks[rows] = rng.permutation(len(rows)) % BLOCKS
    return blocks


def percentile(replicates: np.ndarray, level: float = 0.95) -> Interval:
    """Return the middle `level` of [R] replicates; undefined ones are left out."""
    known = replicates[np.isfinite(replicates)]
    if not len(known):
        return UNKNOWN
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def reflected(replicates: np.ndarray, value: float, level: float = 0.95) -> Interval:
    """Return the percentile interval mirrored at the value, from 0 up: resampling inflates errors."""
    low, high = percentile(replicates, level)
    return max(2 * value - high, 0.0), max(2 * value - low, 0.0)


def bca(replicates: np.ndarray, value: float, jackknife: np.ndarray, level: float = 0.95) -> Interval:
    """Return the bias-corrected and accelerated interval.

    replicates: [R]; jackknife: [J] values with one row, group or block left out. Where all replicates
    lie on one side of the value there is no correction to make, and the percentile interval is returned.
    """
    known = replicates[np.isfinite(replicates)]
    bias = _bias(known, value)
    if not np.isfinite(bias):
        return percentile(replicates, level)
    shift = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(known, norm.cdf(bias + shift / (1 - _acceleration(jackknife) * shift)))
    return float(low), float(high)


def bca_p(replicates: np.ndarray, value: float, jackknife: np.ndarray, null: float = 0.0) -> float:
    """Return the two-sided p-value of `null`: 1 - the level at which an end of the `bca` interval touches it.

    Never below 2 / (R + 1), since R resamples cannot show less; NaN without replicates, 1 where all are equal.
    """
    known = replicates[np.isfinite(replicates)]
    if not len(known):
        return float("nan")
    least = 2 / (len(known) + 1)
    bias, share = _bias(known, value), float(np.mean(known < null) + np.mean(known <= null)) / 2
    if share in (0.0, 1.0) or not np.isfinite(bias):
        return max(2 * min(share, 1 - share), least)
    gap = norm.ppf(share) - bias
    tail = float(norm.cdf(gap / (1 + _acceleration(jackknife) * gap) - bias))
    return max(2 * min(tail, 1 - tail), least)


def _bias(known: np.ndarray, value: float) -> float:
    """Return the normal quantile of the share of replicates below the value; infinite where all are on one side."""
    below = (np.sum(known < value) + np.sum(known <= value)) / (2 * len(known)) if len(known) else 0.0
    return float(norm.ppf(below))


def _acceleration(jackknife: np.ndarray) -> float:
    jackknife = jackknife[np.isfinite(jackknife)]
    if not len(jackknife):
        return 0.0
    fall = jackknife.mean() - jackknife
    spread = np.sum(fall**2)
    return float(np.sum(fall**3) / (6 * spread**1.5)) if spread else 0.0


def leave_out(blocks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield [N] counts with one block of rows at a time left out; blocks: [N], rows of a block are equal."""
    for block in np.unique(blocks):
        yield (blocks != block).astype(np.int64)


def wilson(successes: float, trials: int, level: float = 0.95) -> Interval:
    """Return the score interval of a share of independent rows: never empty, not even at 0 or 1.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if not trials:
        return UNKNOWN
    z2, share = float(norm.ppf((1 + level) / 2)) ** 2, successes / trials
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = sqrt(z2 * share * (1 - share) / trials + (z2 / (2 * trials)) ** 2) / (1 + z2 / trials)
    return max(center - half, 0.0), min(center + half, 1.0)
