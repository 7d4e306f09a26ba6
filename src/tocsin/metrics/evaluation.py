"""The evaluation of one model on test rows, and the structure of `evaluation.json`.

Shapes: N rows, R resamples.
"""

from collections.abc import Mapping
from functools import partial
from math import sqrt
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tocsin.core.provenance import Origin
from tocsin.core.types import Frozen
from tocsin.metrics.bootstrap import UNKNOWN, Interval, Redrawn, Resampling, redraw, reflected, wilson
from tocsin.metrics.classification import (
    EVEN,
    FALSE_POSITIVE_RATES,
    Judged,
    confusion,
    judge,
    measure,
    pr_points,
    reliability,
    roc_points,
    within,
)
from tocsin.metrics.significance import Outcome

FEW = 20
"""With fewer rows than this behind it, a share of a slice is marked as resting on too few."""
SLICE_POINTS = 60
"""Points of a slice's curve."""
LEAST_ALLOWED = 2
"""Recall at a rate that allows fewer false positives than this has no interval: no resampling knows the tail.
In simulations its "95 %" hold the truth 35 to 64 times of 100 below one, and 94 to 96 times from two on."""
DEBIASED = "ece_debiased"


class Estimate(Frozen):
    """A number and its 95 % interval; null where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Confusion(Frozen):
    """Rows by truth and answer at the threshold."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    def matrix(self) -> list[list[int]]:
        """Return [[TN, FP], [FN, TP]]: rows are the truth, columns the answer, negative first."""
        return [[self.true_negatives, self.false_positives], [self.false_negatives, self.true_positives]]


class Curve(Frozen):
    """Points to draw, thinned; empty where a class is missing."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ReliabilityBin(Frozen):
    """Rows whose probability falls into one of 15 equal bins."""

    probability: float = Field(description="mean probability")
    share: float = Field(description="share of positives")
    rows: int


class SliceScore(Frozen):
    """The rows that share one value. Numbers that a missing class leaves undefined are null."""

    by: str = Field(description="what the rows are sliced by")
    name: str = Field(description="the value that they share")
    rows: int
    positives: int
    accuracy: float | None
    precision: float | None
    recall: Estimate
    f1: float | None
    false_positive_rate: Estimate
    roc_auc: float | None
    pr_auc: float | None
    f1_macro_even: float | None
    confusion: Confusion
    roc: Curve = Field(description="false-positive rate, recall; empty where a class is missing")
    too_few: bool = Field(description=f"a class that is present has fewer than {FEW} rows")


class BinaryEvaluation(Frozen):
    """What one threshold and one set of probabilities do on the test rows."""

    rows: int
    positives: int
    threshold: float
    metrics: dict[str, Estimate]
    confusion: Confusion
    roc: Curve = Field(description="false-positive rate, recall")
    pr: Curve = Field(description="recall, precision")
    reliability: tuple[ReliabilityBin, ...]
    slices: tuple[SliceScore, ...]


class SliceThreshold(Frozen):
    """The threshold that the rows of one value have to themselves."""

    by: str
    name: str
    threshold: float
    valid_negatives: int
    valid_false_positives: int
    upper_bound: float


class AbstainBand(Frozen):
    """What goes to a person: rows from `below` up to their threshold; figures of the test rows."""

    below: float
    max_share: float = Field(
        description="share of the validation negatives that it was chosen to hold at most"
    )
    coverage: Estimate = Field(description="share of the rows that get a verdict without a person")
    negatives_to_a_person: Estimate = Field(description="share of the negatives")
    negatives_a_day: Estimate
    recall_alone: float | None = Field(description="share of the positives that are flagged")
    recall_with_a_person: Estimate = Field(
        description="share of the positives that are flagged or go to a person"
    )


class OperatingPoint(Frozen):
    """Where the threshold comes from, and what it costs a day."""

    threshold: float = Field(description="above 1 where only flagging nothing keeps the rate")
    max_false_positive_rate: float
    confidence: float | None = Field(
        None, description="the threshold keeps the bound within the rate at this confidence"
    )
    valid_negatives: int = Field(description="validation negatives that the threshold was chosen on")
    valid_false_positives: int
    upper_bound: float = Field(
        description="one-sided 95 % Clopper-Pearson bound of the rate on validation; near-duplicates weigh as one row"
    )
    daily_negatives: int = Field(description="normal rows a day that the alerts are counted for")
    false_alerts_per_day: Estimate = Field(description="at the false-positive rate of the test rows")
    slices: tuple[SliceThreshold, ...] = ()
    abstain: AbstainBand | None = None


class ModelEvaluation(BinaryEvaluation):
    """One of the models that were compared."""

    kind: Literal["model", "baseline"]
    description: str
    fit_seconds: float | None
    operating_point: OperatingPoint


class Difference(Frozen):
    """A paired difference between the primary model and another on the same resampled rows."""

    metric: str
    model: str
    other: str
    difference: Estimate = Field(description="model minus other")
    verdict: Outcome = Field(description="`model` against `other`")
    minimum_detectable: float | None = Field(
        None, description="a true difference of this size would be found four times of five on such rows"
    )
    smallest: float | None = Field(None, description="the smallest difference that is of interest")


class EvaluationReport(Frozen):
    """`evaluation.json`: every model on the same test rows."""

    schema_version: Literal[1] = 1
    primary: str
    models: dict[str, ModelEvaluation]
    comparisons: tuple[Difference, ...]
    resamples: int
    split: dict[str, Any] = Field(description="name -> fact about the split, naive overlap among them")
    provenance: Origin


def evaluate_binary(
    truth: np.ndarray,
    probability: np.ndarray,
    threshold: float,
    *,
    own: np.ndarray | None = None,
    slices: Mapping[str, np.ndarray] | None = None,
    how: Resampling | None = None,
) -> BinaryEvaluation:
    """Evaluate the answers to N rows at one threshold, or each row at its own.

    truth: [N] of 0 and 1; probability: [N]; own: [N]; slices: name -> [N] values, where None is in no slice.
    """
    how = how or Resampling()
    judged = judge(truth, probability, threshold, own)
    redrawn = redraw(judged.truth, {"": partial(measure, judged)}, how)[""]
    return describe(judged, redrawn, slices or {}, how)


def describe(
    judged: Judged, redrawn: Redrawn, slices: Mapping[str, np.ndarray], how: Resampling
) -> BinaryEvaluation:
    """Put the evaluation together from what was resampled before."""
    _tn, _fp, fn, tp = confusion(judged)
    bins = [ReliabilityBin(probability=p, share=s, rows=n) for p, s, n in reliability(judged)]
    return BinaryEvaluation(
        rows=len(judged.truth),
        positives=tp + fn,
        threshold=judged.threshold,
        metrics=_estimates(judged, redrawn, how),
        confusion=_confusion(judged),
        roc=_curve(*roc_points(judged)),
        pr=_curve(*pr_points(judged)),
        reliability=tuple(bins),
        slices=tuple(line for by, values in slices.items() for line in _slice(judged, by, values)),
    )


def _confusion(judged: Judged) -> Confusion:
    tn, fp, fn, tp = confusion(judged)
    return Confusion(true_negatives=tn, false_positives=fp, false_negatives=fn, true_positives=tp)


def estimate(value: float, interval: Interval = (float("nan"), float("nan"))) -> Estimate:
    """Make an estimate; NaN becomes null."""
    known = [float(v) if np.isfinite(v) else None for v in (value, *interval)]
    return Estimate(value=known[0], low=known[1], high=known[2])


def _estimates(judged: Judged, redrawn: Redrawn, how: Resampling) -> dict[str, Estimate]:
    values, shares = measure(judged), _share_intervals(judged, how.level)
    units = units_of(judged.truth, how.group)
    found = {}
    for name, value in values.items():
        if name == "ece":
            interval = reflected(redrawn.replicates[name], value, how.level)
        elif units[0] * FALSE_POSITIVE_RATES.get(name, 1.0) < LEAST_ALLOWED:
            interval = UNKNOWN
        elif name not in shares:
            interval = _proven(redrawn.interval(name, value, how.level), value, min(units), how.level)
        elif how.group is None:
            interval = shares[name]
        else:
            interval = hull(shares[name], redrawn.interval(name, value, how.level))
        found[name] = estimate(value, interval)
    return found | {DEBIASED: _debiased(redrawn.replicates["ece"], values["ece"], how)}


def units_of(truth: np.ndarray, group: np.ndarray | None) -> tuple[int, int]:
    """Return how many negatives and positives there are that know nothing of each other: rows, or groups."""
    sides = [np.flatnonzero(truth == value) for value in (0, 1)]
    negatives, positives = (len(side if group is None else np.unique(group[side])) for side in sides)
    return negatives, positives


def _proven(interval: Interval, value: float, units: int, level: float) -> Interval:
    """Widen the interval of a perfect value, of which every resample is perfect too: that many rows prove no more."""
    return (wilson(units, units, level)[0], 1.0) if value == 1 and interval[0] == 1 else interval


def _debiased(replicates: np.ndarray, ece: float, how: Resampling) -> Estimate:
    """Take from the calibration error what sampling alone adds to it, as the resamples show it.

    The noise of a bin adds to its gap in squares, so squares are corrected: taking means from means, as is usual,
    leaves more than half of the bias of perfectly calibrated rows.
    Source: Efron & Tibshirani 1993, section 10.3, and, for squares, Kumar, Liang & Ma 2019, section 4.1.
    """
    value = sqrt(max(2 * ece**2 - float(np.mean(replicates**2)), 0.0)) if np.isfinite(ece) else ece
    squares = reflected(replicates**2, ece**2, how.level)
    return estimate(value, (sqrt(squares[0]), sqrt(squares[1])))


def _share_intervals(judged: Judged, level: float) -> dict[str, Interval]:
    """Return Wilson intervals: for a share near 0 or 1 the bootstrap's are too narrow, or empty."""
    tn, fp, fn, tp = confusion(judged)
    return {
        "accuracy": wilson(tp + tn, tn + fp + fn + tp, level),
        "precision": wilson(tp, tp + fp, level),
        "recall": wilson(tp, tp + fn, level),
        "false_positive_rate": wilson(fp, fp + tn, level),
    }


def hull(one: Interval, other: Interval) -> Interval:
    """Cover both: rows in groups say less than independent rows, never more."""
    return float(np.fmin(one[0], other[0])), float(np.fmax(one[1], other[1]))


def _curve(x: np.ndarray, y: np.ndarray) -> Curve:
    return Curve(x=tuple(np.round(x, 6).tolist()), y=tuple(np.round(y, 6).tolist()))


def _slice(judged: Judged, by: str, values: np.ndarray) -> list[SliceScore]:
    values = np.asarray(values, dtype=object)
    names = sorted({str(v) for v in values if v is not None})
    named = np.array([None if v is None else str(v) for v in values], dtype=object)
    return [_slice_score(judged, by, name, named == name) for name in names]


def _slice_score(judged: Judged, by: str, name: str, inside: np.ndarray) -> SliceScore:
    part = within(judged, inside)
    found, shares = measure(part), _share_intervals(part, 0.95)
    positives, rows = int(part.truth.sum()), len(part.truth)
    return SliceScore(
        by=by,
        name=name,
        rows=rows,
        positives=positives,
        recall=estimate(found["recall"], shares["recall"]),
        false_positive_rate=estimate(found["false_positive_rate"], shares["false_positive_rate"]),
        too_few=any(0 < count < FEW for count in (positives, rows - positives)),
        accuracy=estimate(found["accuracy"]).value,
        precision=estimate(found["precision"]).value,
        f1=estimate(found["f1"]).value,
        roc_auc=estimate(found["roc_auc"]).value,
        pr_auc=estimate(found["pr_auc"]).value,
        f1_macro_even=estimate(found[EVEN]).value,
        confusion=_confusion(part),
        roc=_curve(*roc_points(part, SLICE_POINTS)),
    )
