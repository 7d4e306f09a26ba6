"""One recipe, several seeds: what is known of a metric over test rows and over trainings at once.

Shapes: K seeds, N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import t as student

from tocsin.metrics.bootstrap import UNKNOWN, Interval, Resampling, Statistic, redraw, wilson
from tocsin.metrics.classification import Judged, measure
from tocsin.metrics.evaluation import hull
from tocsin.metrics.significance import LEVEL, POWER, Outcome, decide, standard_error, units_behind


@dataclass(frozen=True)
class OverSeeds:
    """A metric, or a paired difference of one, over the seeds of a recipe."""

    by_seed: tuple[float, ...]
    items: Interval
    """What other test rows would do to the mean of these seeds."""
    error: float
    """Standard error of that."""
    bounds: Interval = (-1.0, 1.0)
    """What the interval cannot leave: 0 and 1 for a metric, -1 and 1 for a difference."""

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.by_seed))

    @property
    def std(self) -> float:
        """Return the standard deviation over the seeds; NaN with one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else float("nan")

    def interval(self, level: float = 1 - LEVEL) -> Interval:
        """Return the interval over other test rows and other seeds; unknown with one seed.

        The rows' part is bootstrapped (BCa). A bootstrap of two or three seeds would be far too narrow, so their
        part is Student's; the two are put together as independent errors.
        Source: Zou & Donner 2008, Construction of confidence limits about effect measures (MOVER).
        """
        count = len(self.by_seed)
        if count < 2:
            return UNKNOWN
        seeds = float(student.ppf((1 + level) / 2, count - 1)) * self.std / sqrt(count)
        low, high = (float(np.hypot(self.mean - end, seeds)) for end in self.items)
        least, most = self.bounds
        return max(self.mean - low, least), min(self.mean + high, most)

    def minimum_detectable(self) -> float:
        """Return the true difference that is found with 80 % power on as many rows and seeds; NaN with one seed.

        Degrees of freedom are Satterthwaite's (1946): few seeds weigh as much as they vary.
        """
        count = len(self.by_seed)
        seeds = self.std**2 / count
        whole = self.error**2 + seeds
        if not whole > 0:
            return float("nan")
        freedom = whole**2 / (seeds**2 / (count - 1)) if seeds else np.inf
        return float((student.ppf(1 - LEVEL / 2, freedom) + student.ppf(POWER, freedom)) * sqrt(whole))


def over_seeds(
    models: Mapping[str, Sequence[Judged]], metrics: Sequence[str], how: Resampling, units: tuple[int, int]
) -> "Summary":
    """Measure every model on the same resamples of the rows, each as the mean over its seeds.

    models: name -> one judgement a seed, of the same rows in the same order.
    units: independent negatives and positives among them.
    """
    truth = next(iter(models.values()))[0].truth
    statistics = {name: _mean_of(judged, metrics) for name, judged in models.items()}
    redrawn = redraw(truth, statistics, how)
    values = {
        name: [{m: v for m, v in measure(j).items() if m in metrics} for j in judged]
        for name, judged in models.items()
    }

    positives = int(truth.sum())
    rows = {"recall": positives, "false_positive_rate": len(truth) - positives, "accuracy": len(truth)}

    def summarise(name: str, other: str | None, metric: str) -> OverSeeds:
        drawn = redrawn[name] if other is None else redrawn[name].minus(redrawn[other])
        theirs = [0.0] * len(values[name]) if other is None else [v[metric] for v in values[other]]
        by_seed = tuple(v[metric] - w for v, w in zip(values[name], theirs, strict=True))
        mean = float(np.mean(by_seed))
        items = drawn.interval(metric, mean)
        error = standard_error(drawn.replicates[metric], units_behind(metric, units))
        if other is not None:
            return OverSeeds(by_seed, items, error)
        if metric in rows and np.isfinite(mean):  # no false positive is no proof of none
            items = hull(wilson(mean * rows[metric], rows[metric]), items)
        return OverSeeds(by_seed, items, error, (0.0, 1.0))

    alone = {name: {m: summarise(name, None, m) for m in metrics} for name in models}
    first, *others = models
    against = {other: {m: summarise(first, other, m) for m in metrics} for other in others}
    return Summary(alone, against)


@dataclass(frozen=True)
class Summary:
    """Every model over the seeds, and the first against each other one: name -> metric -> OverSeeds."""

    models: Mapping[str, Mapping[str, OverSeeds]]
    against: Mapping[str, Mapping[str, OverSeeds]]


def _mean_of(judged: Sequence[Judged], metrics: Sequence[str]) -> Statistic:
    """Return a statistic that averages over seeds; what does not depend on the seed is measured once."""
    distinct: list[tuple[Judged, int]] = []
    for one in judged:
        same = [i for i, (d, _) in enumerate(distinct) if _alike(d, one)]
        if same:
            distinct[same[0]] = (distinct[same[0]][0], distinct[same[0]][1] + 1)
        else:
            distinct.append((one, 1))

    def statistic(counts: np.ndarray) -> dict[str, float]:
        found = [(measure(one, counts), weight) for one, weight in distinct]
        return {m: sum(values[m] * weight for values, weight in found) / len(judged) for m in metrics}

    return statistic


def _alike(one: Judged, other: Judged) -> bool:
    return np.array_equal(one.cell, other.cell) and np.array_equal(one.probability, other.probability)


def average(folds: Sequence[OverSeeds]) -> OverSeeds:
    """Return the mean over folds, seed by seed.

    Folds may share test rows, so their errors are taken to go together: their mean is as wide as they are.
    """
    by_seed = np.mean([f.by_seed for f in folds], axis=0)
    mean = float(np.mean(by_seed))
    below = float(np.mean([f.mean - f.items[0] for f in folds]))
    above = float(np.mean([f.items[1] - f.mean for f in folds]))
    error = float(np.mean([f.error for f in folds]))
    return OverSeeds(tuple(by_seed.tolist()), (mean - below, mean + above), error, folds[0].bounds)


def weigh(metric: str, found: OverSeeds, smallest: float) -> Outcome:
    """Return the verdict on a difference over rows and seeds."""
    low, high = found.interval()
    return decide(metric, found.mean, low > 0 or high < 0, found.minimum_detectable(), smallest)
