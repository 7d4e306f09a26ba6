"""Numbers of any size to numbers that a network can learn from; order is kept, so trees lose nothing.

Nothing here calls a transcendental function but `log`: quantile scaling is additions, products and one
division between stored knots, so that the machine that trains and the machine that serves agree to the byte.

Shapes: F features, B rows, K knots.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal, Protocol, Self

import numpy as np

Scaling = Literal["quantile", "standard", "log"]

LIMIT = 1e100
"""Larger training values count as this, so that squares and differences stay finite."""

SPREAD = 100.0
"""Standard and log: values farther from the mean count as so many deviations away: float32 stays finite."""

TAIL = 1e-7
"""Quantile: ranks are held in [TAIL, 1 - TAIL], that is within 5.2 deviations of the normal."""

STEP = 0.05
"""Quantile: deviations between the knots added where the normal bends; the error is at most STEP² 5.2 / 8."""


class Scaler(Protocol):
    """Fitted scaling of F features."""

    def scale(self, x: np.ndarray) -> np.ndarray:
        """Return float64 [F, B] for finite float64 [F, B]; each value depends on its feature only."""
        ...

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what was learned: float64, feature axis first."""
        ...


@dataclass(frozen=True)
class Quantiles:
    """To a normal (or uniform) distribution by rank; values that tie get the middle of their ranks.

    Between knots the result is linear, at a knot it is `mid`, just below it `low` and just above it `high`.
    Source: scikit-learn's QuantileTransformer, which this equals to 2e-3 deviations (to 1e-9 when uniform).
    """

    knots: np.ndarray
    """[F, K] rising; a feature with fewer knots repeats its last."""
    low: np.ndarray
    mid: np.ndarray
    high: np.ndarray

    @classmethod
    def fit(
        cls, values: Sequence[np.ndarray], count: int, output: Literal["normal", "uniform"] = "normal"
    ) -> Self:
        """Learn from the finite values of each feature, at `count` evenly spaced ranks."""
        found = [_rank_knots(v, count) for v in values]
        width = max((len(f[0]) for f in found), default=1)
        knots, first, mid, last = (
            np.array([np.pad(f[i], (0, width - len(f[i])), mode="edge") for f in found]).reshape(-1, width)
            for i in range(4)
        )
        if output == "normal":
            first, mid, last = _deviations(first), _deviations(mid), _deviations(last)
        return cls(knots, first, mid, last)

    @cached_property
    def _lists(self) -> list[list[float]]:
        return self.knots.tolist()  # type: ignore[no-any-return]

    @cached_property
    def _table(self) -> np.ndarray:
        """[F * K, 5]: knot, distance and rise to the next knot, start of the rise, value at the knot."""
        distance = np.diff(self.knots, axis=1, append=self.knots[:, -1:])
        rise = np.concatenate([self.low[:, 1:] - self.high[:, :-1], np.zeros((len(self.knots), 1))], axis=1)
        distance = np.where(distance > 0, distance, 1.0)
        return np.stack([self.knots, distance, rise, self.high, self.mid], axis=-1).reshape(-1, 5)

    def scale(self, x: np.ndarray) -> np.ndarray:
        """Return float64 [F, B]; values beyond the training rows count as the nearest of them."""
        x = np.minimum(np.maximum(x, self.knots[:, :1]), self.knots[:, -1:])
        offset = np.arange(-1, self.knots.size - 1, self.knots.shape[1])[:, None]
        knot, distance, rise, start, at = np.moveaxis(
            self._table.take(self._places(x) + offset, axis=0), -1, 0
        )
        inside: np.ndarray = np.where(x == knot, at, start + (x - knot) / distance * rise)
        return inside

    def _places(self, x: np.ndarray) -> np.ndarray:
        """Return int64 [F, B]: how many knots stand at or below each value."""
        if x.shape[1] == 1:  # one request: 40 calls of bisect cost a fifth of 40 calls of searchsorted
            return np.array(list(map(bisect_right, self._lists, x[:, 0].tolist())), dtype=np.int64)[:, None]
        found = [knots.searchsorted(row, "right") for knots, row in zip(self.knots, x, strict=True)]
        return np.array(found, dtype=np.int64).reshape(x.shape)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return knots and the values below, at and above them."""
        return {"knots": self.knots, "low": self.low, "mid": self.mid, "high": self.high}


@dataclass(frozen=True)
class Moments:
    """To mean 0 and deviation 1, after `sign(x) log(1 + |x|)` if `log`."""

    mean: np.ndarray
    deviation: np.ndarray
    log: bool

    @classmethod
    def fit(cls, values: Sequence[np.ndarray], log: bool) -> Self:
        """Learn from the finite values of each feature; a constant has deviation 1."""
        learned = [_moments(_signed_log(v) if log else v) for v in values]
        mean, deviation = np.array(learned, dtype=np.float64).reshape(-1, 2).T
        return cls(mean.copy(), deviation.copy(), log)

    def scale(self, x: np.ndarray) -> np.ndarray:
        """Return float64 [F, B] within SPREAD deviations."""
        reach = SPREAD * self.deviation
        x = _signed_log(x) if self.log else x
        x = np.minimum(np.maximum(x, (self.mean - reach)[:, None]), (self.mean + reach)[:, None])
        scaled: np.ndarray = (x - self.mean[:, None]) / self.deviation[:, None]
        return scaled

    def tensors(self) -> dict[str, np.ndarray]:
        """Return mean and deviation."""
        return {"mean": self.mean, "deviation": self.deviation}


def fit_scaler(scaling: Scaling, values: Sequence[np.ndarray], quantiles: int) -> Scaler:
    """Learn one scaling per feature from its finite values (none at all is allowed)."""
    values = [np.clip(v, -LIMIT, LIMIT) for v in values]
    if scaling == "quantile":
        return Quantiles.fit(values, quantiles)
    return Moments.fit(values, log=scaling == "log")


def restore_scaler(scaling: Scaling, tensors: Mapping[str, np.ndarray]) -> Scaler:
    """Rebuild a scaler from what `tensors` returned; ValueError or KeyError on anything else."""
    if scaling == "quantile":
        knots, low, mid, high = (tensors[name] for name in ("knots", "low", "mid", "high"))
        if not (knots.ndim == 2 and knots.shape[1] and knots.shape == low.shape == mid.shape == high.shape):
            raise ValueError("the quantile tables differ in shape")
        rising = (np.diff(knots) >= 0).all() and (low <= mid).all() and (mid <= high).all()
        if not rising or (high[:, :-1] > low[:, 1:]).any(where=np.diff(knots) > 0):
            raise ValueError("the quantile tables do not rise")
        return Quantiles(knots, low, mid, high)
    mean, deviation = tensors["mean"], tensors["deviation"]
    if mean.ndim != 1 or mean.shape != deviation.shape or not (deviation > 0).all():
        raise ValueError("mean and deviation do not fit each other")
    return Moments(mean, deviation, scaling == "log")


def _rank_knots(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct values and the lowest, middle and highest rank of each, all [K]."""
    if not values.size:
        return np.zeros(1), np.full(1, 0.5), np.full(1, 0.5), np.full(1, 0.5)
    even = np.linspace(0, 1, count)
    edge = NormalDist().inv_cdf(1 - TAIL)
    bent = [NormalDist().cdf(z) for z in np.arange(-edge, edge, STEP).tolist()]
    ranks = np.union1d(even, bent)
    found = np.maximum.accumulate(np.quantile(values, even))
    knots, first, size = np.unique(np.interp(ranks, even, found), return_index=True, return_counts=True)
    low, high = ranks[first], ranks[first + size - 1]
    mid = (low + high) / 2
    if len(knots) > 1:
        mid[0], mid[-1] = 0.0, 1.0
    return knots, low, mid, high


def _deviations(ranks: np.ndarray) -> np.ndarray:
    held = np.clip(ranks, TAIL, 1 - TAIL)
    return np.array([NormalDist().inv_cdf(rank) for rank in held.ravel().tolist()]).reshape(held.shape)


def _moments(values: np.ndarray) -> tuple[float, float]:
    if not values.size or values.min() == values.max():
        return (float(values[0]) if values.size else 0.0), 1.0
    return float(values.mean()), float(values.std()) or 1.0


def _signed_log(x: np.ndarray) -> np.ndarray:
    logged: np.ndarray = np.copysign(np.log1p(np.abs(x)), x)
    return logged
