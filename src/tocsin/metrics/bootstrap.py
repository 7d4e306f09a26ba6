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
    truth: np.ndarray, statistics: Mapping[str, Callable[[np.ndarray], Mapping[str, float]]], how: Resampling
) -> dict[str, dict[str, np.ndarray]]:
    """Compute every statistic on the same resamples: name -> metric -> [R]; so differences are paired.

    Each statistic takes counts [N] and returns named numbers.
    """
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in statistics}
    for counts in resample(truth, how):
        for name, statistic in statistics.items():
            found[name].append(statistic(counts))
    return {name: {m: np.array([v[m] for v in values]) for m in values[0]} for name, values in found.items()}


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
    below = (np.sum(known < value) + np.sum(known <= value)) / (2 * len(known)) if len(known) else 0.0
    if not 0 < below < 1:
        return percentile(replicates, level)
    bias = norm.ppf(below)
    fall = jackknife.mean() - jackknife
    spread = np.sum(fall**2)
    acceleration = np.sum(fall**3) / (6 * spread**1.5) if spread else 0.0
    shift = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(known, norm.cdf(bias + shift / (1 - acceleration * shift)))
    return float(low), float(high)


def leave_out(blocks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield [N] counts with one block of rows at a time left out; blocks: [N], rows of a block are equal."""
    for block in np.unique(blocks):
        yield (blocks != block).astype(np.int64)


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return the score interval of a share of independent rows: never empty, not even at 0 or 1.

    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if not trials:
        return UNKNOWN
    z2, share = float(norm.ppf((1 + level) / 2)) ** 2, successes / trials
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = sqrt(z2 * share * (1 - share) / trials + (z2 / (2 * trials)) ** 2) / (1 + z2 / trials)
    return max(center - half, 0.0), min(center + half, 1.0)
