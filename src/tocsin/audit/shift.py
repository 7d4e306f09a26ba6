"""How far the test lies from training: column by column, and for a model that is asked to tell them apart.

Shapes: N training rows, M test rows, B bins.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tocsin.audit.findings import ColumnShift, Finding
from tocsin.audit.probe import Growth, fit_probe
from tocsin.audit.shortcuts import thin
from tocsin.audit.sides import Sides, enumerate_items, has_both
from tocsin.core.types import holds_sequences, sizes_of
from tocsin.data.dataset import Dataset
from tocsin.data.sources import concatenate
from tocsin.metrics.classification import judge, measure

BINS, VALUES = 10, 20
LARGE = 0.25
"""Population stability index from which a column is said to have shifted, beyond what chance gives."""
CHANCE = 3.0
TELLABLE = 0.8
"""ROC-AUC of telling test rows from training rows from which the two are different populations."""
MOST_ROWS, LEAST = 8_000, 200


def measure_shift(sides: Sides) -> tuple[ColumnShift, ...]:
    """Compare every column of the test with that of training, the furthest apart first."""
    train, test = (sides.parts[side] for side in ("train", "test"))
    if not len(train) or not len(test):
        return ()
    found = [_compare(name, train, test, free=name in sides.texts) for name in train.columns]
    return tuple(sorted(found, key=lambda shift: -shift.psi))


def _compare(name: str, train: Dataset, test: Dataset, *, free: bool) -> ColumnShift:
    one, other = train.columns[name], test.columns[name]
    measured = "characters" if free else "size" if holds_sequences(one) else ""
    if measured:
        one, other = sizes_of(one), sizes_of(other)
    text = one.dtype == object
    counts = _text_counts(one, other) if text else _number_counts(one, other)
    return ColumnShift(
        name=f"{name} ({measured})" if measured else name,
        psi=stability_index(*counts),
        ks=None if text else kolmogorov(one, other),
        expected=(int((counts.sum(axis=0) > 0).sum()) - 1) * (1 / len(one) + 1 / len(other)),
    )


def stability_index(one: np.ndarray, other: np.ndarray) -> float:
    """Return the population stability index of two histograms [B]; half a row is added to each bin."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (one, other))
    return float(((q - p) * np.log(q / p)).sum())


def kolmogorov(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return the largest distance between the distributions of finite numbers [N] and [M]; None without any."""
    one, other = (np.sort(values[np.isfinite(values)]) for values in (one, other))
    if not len(one) or not len(other):
        return None
    places = np.concatenate([one, other])
    shares = (np.searchsorted(values, places, side="right") / len(values) for values in (one, other))
    return float(np.abs(np.subtract(*shares)).max())


def _number_counts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return histograms [2, B] over the deciles of training, the last bin for what is missing."""
    finite = one[np.isfinite(one)]
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)[1:-1])) if len(finite) else np.zeros(0)
    counts = []
    for values in (one, other):
        places = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        counts.append(np.bincount(places, minlength=len(edges) + 2))
    return np.array(counts)


def _text_counts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return histograms [2, B] over the most frequent values of training, the last bin for all others."""
    first, second = Counter(one.tolist()), Counter(other.tolist())
    shown = [value for value, _ in first.most_common(VALUES)]
    counts = [[found[value] for value in shown] + [0] for found in (first, second)]
    for line, found in zip(counts, (first, second), strict=True):
        line[-1] = found.total() - sum(line)
    return np.array(counts)


def tell_apart(sides: Sides) -> float | None:
    """Return the ROC-AUC of a probe that tells test rows from training rows; None with too few."""
    parts = [sides.parts[side] for side in ("train", "test")]
    most = min(MOST_ROWS, *(len(part) for part in parts))
    if most < LEAST:
        return None
    drawn = [part.take(thin(len(part), most)) for part in parts]
    both, side = concatenate(drawn), np.repeat([0, 1], most)
    half = np.arange(2 * most) % 2 == 0
    fitted, judged = both.take(np.flatnonzero(half)), both.take(np.flatnonzero(~half))
    probe = fit_probe(fitted.columns, side[half], sides.texts, Growth(threads=sides.stated.threads))
    return (
        measure(judge(side[~half], probe.predict(judged.columns), 0.5))["roc_auc"]
        if has_both(side[half])
        else None
    )


def check_shift(sides: Sides) -> Iterator[Finding]:
    """Columns that are distributed otherwise in the test, and whether a model can tell its rows."""
    far = [s for s in sides.once(measure_shift) if s.psi > LARGE + CHANCE * s.expected]
    auc = sides.once(tell_apart)
    told = "" if auc is None else f"a model tells test rows from training rows with ROC-AUC {auc:.3f}"
    shifted = bool(far) or (auc is not None and auc >= TELLABLE)
    if not shifted and not told:
        return
    items = {s.name: f"{s.psi:.2f}" for s in far}
    words = [enumerate_items("population stability index over 0.25", items)] if far else []
    yield Finding(
        severity="warning" if shifted else "info",
        name="distribution shift",
        message="; ".join(filter(None, [told, *words])),
        action="expect less than on validation; thresholds chosen there will not hold here"
        if shifted
        else "",
    )
