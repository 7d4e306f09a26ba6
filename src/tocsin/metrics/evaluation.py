"""The evaluation of one model on test rows, and the structure of `evaluation.json`.

Shapes: N rows, R resamples.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tocsin.core.provenance import Origin
from tocsin.metrics.bootstrap import Interval, Resampling, percentile, reflected, replicate, wilson
from tocsin.metrics.classification import (
    Judged,
    confusion,
    judge,
    measure,
    pr_points,
    reliability,
    roc_points,
)

FEW = 20
"""With fewer rows than this behind it, a share of a slice is marked as resting on too few."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Part):
    """A number and its 95 % interval; null where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Confusion(_Part):
    """Rows by truth and answer at the threshold."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    def matrix(self) -> list[list[int]]:
        """Return [[TN, FP], [FN, TP]]: rows are the truth, columns the answer, negative first."""
        return [[self.true_negatives, self.false_positives], [self.false_negatives, self.true_positives]]


class Curve(_Part):
    """Points to draw, thinned; empty where a class is missing."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ReliabilityBin(_Part):
    """Rows whose probability falls into one of 15 equal bins."""

    probability: float = Field(description="mean probability")
    share: float = Field(description="share of positives")
    rows: int


class SliceScore(_Part):
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
    too_few: bool = Field(description=f"a class that is present has fewer than {FEW} rows")


class BinaryEvaluation(_Part):
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


class OperatingPoint(_Part):
    """Where the threshold comes from, and what it costs a day."""

    threshold: float = Field(description="above 1 where only flagging nothing keeps the rate")
    max_false_positive_rate: float
    valid_negatives: int = Field(description="validation negatives that the threshold was chosen on")
    valid_false_positives: int
    upper_bound: float = Field(description="one-sided 95 % Clopper-Pearson bound of the rate on validation")
    daily_negatives: int = Field(description="normal rows a day that the alerts are counted for")
    false_alerts_per_day: Estimate = Field(description="at the false-positive rate of the test rows")


class ModelEvaluation(BinaryEvaluation):
    """One of the models that were compared."""

    kind: Literal["model", "baseline"]
    description: str
    fit_seconds: float | None
    operating_point: OperatingPoint


class Difference(_Part):
    """A paired difference between the primary model and another on the same resampled rows."""

    metric: str
    model: str
    other: str
    difference: Estimate = Field(description="model minus other")
    verdict: Literal["better", "no evidence", "worse"] = Field(description="`model` against `other`")


class EvaluationReport(_Part):
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
    slices: Mapping[str, np.ndarray] | None = None,
    how: Resampling | None = None,
) -> BinaryEvaluation:
    """Evaluate the answers to N rows at one threshold.

    truth: [N] of 0 and 1; probability: [N]; slices: name -> [N] values, where None is in no slice.
    """
    how = how or Resampling()
    judged = judge(truth, probability, threshold)
    replicates = replicate(judged.truth, {"": partial(measure, judged)}, how)[""]
    return describe(judged, replicates, slices or {}, how)


def describe(
    judged: Judged, replicates: Mapping[str, np.ndarray], slices: Mapping[str, np.ndarray], how: Resampling
) -> BinaryEvaluation:
    """Put the evaluation together from replicates that were made before: metric -> [R]."""
    tn, fp, fn, tp = confusion(judged)
    bins = [ReliabilityBin(probability=p, share=s, rows=n) for p, s, n in reliability(judged)]
    return BinaryEvaluation(
        rows=len(judged.truth),
        positives=tp + fn,
        threshold=judged.threshold,
        metrics=_estimates(judged, replicates, how),
        confusion=Confusion(true_negatives=tn, false_positives=fp, false_negatives=fn, true_positives=tp),
        roc=_curve(*roc_points(judged)),
        pr=_curve(*pr_points(judged)),
        reliability=tuple(bins),
        slices=tuple(line for by, values in slices.items() for line in _slice(judged, by, values)),
    )


def estimate(value: float, interval: Interval = (float("nan"), float("nan"))) -> Estimate:
    """Make an estimate; NaN becomes null."""
    known = [float(v) if np.isfinite(v) else None for v in (value, *interval)]
    return Estimate(value=known[0], low=known[1], high=known[2])


def _estimates(judged: Judged, replicates: Mapping[str, np.ndarray], how: Resampling) -> dict[str, Estimate]:
    shares = _share_intervals(judged, how.level)
    found = {}
    for name, value in measure(judged).items():
        if name == "ece":
            interval = reflected(replicates[name], value, how.level)
        elif name not in shares:
            interval = percentile(replicates[name], how.level)
        elif how.group is None:
            interval = shares[name]
        else:
            interval = _hull(shares[name], percentile(replicates[name], how.level))
        found[name] = estimate(value, interval)
    return found


def _share_intervals(judged: Judged, level: float) -> dict[str, Interval]:
    """Return Wilson intervals: for a share near 0 or 1 the bootstrap's are too narrow, or empty."""
    tn, fp, fn, tp = confusion(judged)
    return {
        "accuracy": wilson(tp + tn, tn + fp + fn + tp, level),
        "precision": wilson(tp, tp + fp, level),
        "recall": wilson(tp, tp + fn, level),
        "false_positive_rate": wilson(fp, fp + tn, level),
    }


def _hull(one: Interval, other: Interval) -> Interval:
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
    part = judge(judged.truth[inside], judged.probability[inside], judged.threshold)
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
    )
