"""Metrics of a binary decision, in one pass over counts: a bootstrap resample is just other counts.

Shapes: N rows, T distinct scores, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from tocsin.core.errors import InputError

BINS = 15
FALSE_POSITIVE_RATES: Mapping[str, float] = {"recall_at_fpr_0.01": 0.01, "recall_at_fpr_0.001": 0.001}
THRESHOLDED = ("accuracy", "precision", "recall", "f1", "f1_macro", "false_positive_rate")
EVEN = "f1_macro_even"
"""Macro-F1 where the probability itself decides, at 0.5: what others report, whatever the threshold here."""
METRICS = (*THRESHOLDED, EVEN, "roc_auc", "pr_auc", *FALSE_POSITIVE_RATES, "brier", "ece")


@dataclass(frozen=True)
class Judged:
    """One model's answers, sorted once. Shapes: N rows, T distinct scores."""

    truth: np.ndarray
    """[N] bool."""
    probability: np.ndarray
    """[N] float64 in [0, 1]."""
    threshold: float
    own: np.ndarray | None
    """[N] thresholds of single rows, where slices have thresholds of their own."""
    order: np.ndarray
    """[N] rows by falling probability."""
    ends: np.ndarray
    """[T] place in `order` of the last row of each distinct probability: ties count together."""
    cell: np.ndarray
    """[N] cell of the confusion matrix: 2 * truth + predicted."""
    bin: np.ndarray
    """[N] bin of the calibration error."""


def judge(
    truth: np.ndarray, probability: np.ndarray, threshold: float, own: np.ndarray | None = None
) -> Judged:
    """Sort and bin the answers to N rows; a row is predicted positive at or above the threshold.

    truth: [N] of 0 and 1; probability: [N]; own: [N] thresholds of the rows in place of the common one.
    InputError names the first row that is out of range.
    """
    probability = np.asarray(probability, dtype=np.float64)
    _check(np.asarray(truth), probability)
    truth = np.asarray(truth).astype(bool)
    order = np.argsort(-probability, kind="stable")
    falls = np.diff(probability[order]) != 0
    return Judged(
        truth=truth,
        probability=probability,
        threshold=threshold,
        own=own,
        order=order,
        ends=np.append(np.flatnonzero(falls), len(order) - 1),
        cell=2 * truth + (probability >= (threshold if own is None else own)),
        bin=np.minimum((probability * BINS).astype(np.int64), BINS - 1),
    )


def within(judged: Judged, rows: np.ndarray) -> Judged:
    """Judge some of the rows alone; rows: [N] bool."""
    own = None if judged.own is None else judged.own[rows]
    return judge(judged.truth[rows], judged.probability[rows], judged.threshold, own)


def _check(truth: np.ndarray, probability: np.ndarray) -> None:
    if truth.shape != probability.shape or truth.ndim != 1 or not len(truth):
        raise InputError(f"{truth.shape} labels and {probability.shape} probabilities cannot be compared")
    wrong = np.flatnonzero(~((probability >= 0) & (probability <= 1)))
    if len(wrong):
        raise InputError(f"row {wrong[0]}: {probability[wrong[0]]} is not a probability")
    wrong = np.flatnonzero((truth != 0) & (truth != 1))
    if len(wrong):
        raise InputError(f"row {wrong[0]}: the label {truth[wrong[0]]} is neither 0 nor 1")


def measure(judged: Judged, counts: np.ndarray | None = None) -> dict[str, float]:
    """Return every metric in METRICS; NaN where it is not defined, as ROC-AUC is for one class.

    counts: [N] how often each row counts; None counts each once.
    """
    weights = np.ones(len(judged.truth)) if counts is None else counts.astype(np.float64)
    even = _thresholded(2 * judged.truth + (judged.probability >= 0.5), weights)["f1_macro"]
    found = _thresholded(judged.cell, weights) | {EVEN: even}
    return found | _ranked(judged, weights) | _calibrated(judged, weights)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _thresholded(cell_N: np.ndarray, weights_N: np.ndarray) -> dict[str, float]:
    tn, fp, fn, tp = np.bincount(cell_N, weights_N, minlength=4)
    f1, f1_negative = _share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn)
    return {
        "accuracy": _share(tp + tn, tn + fp + fn + tp),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": f1,
        "f1_macro": (f1 + f1_negative) / 2,
        "false_positive_rate": _share(fp, fp + tn),
    }


def _ranked(judged: Judged, weights_N: np.ndarray) -> dict[str, float]:
    # Sums and not `@`: a dot product is split over threads: other last digits, and a wait for busy cores.
    weights_N = weights_N[judged.order]
    positive_N = judged.truth[judged.order]
    tp_T = np.cumsum(weights_N * positive_N)[judged.ends]
    fp_T = np.cumsum(weights_N * ~positive_N)[judged.ends]
    positives, negatives = tp_T[-1], fp_T[-1]
    gained_T = np.diff(tp_T, prepend=0.0)
    area = np.sum(np.diff(fp_T, prepend=0.0) * (tp_T - gained_T / 2))
    precision_T = tp_T / np.maximum(tp_T + fp_T, 1.0)
    found = {
        "roc_auc": _share(area, positives * negatives),
        "pr_auc": _share(np.sum(gained_T * precision_T), positives),
    }
    for name, rate in FALSE_POSITIVE_RATES.items():
        allowed = np.searchsorted(fp_T / max(negatives, 1.0), rate, side="right")
        found[name] = _share(tp_T[allowed - 1] if allowed else 0.0, positives) if negatives else float("nan")
    return found


def _calibrated(judged: Judged, weights_N: np.ndarray) -> dict[str, float]:
    gap_N = judged.truth - judged.probability
    total = weights_N.sum()
    return {
        "brier": _share(np.sum(weights_N * gap_N**2), total),
        "ece": _share(np.abs(np.bincount(judged.bin, weights_N * gap_N)).sum(), total),
    }


def confusion(judged: Judged) -> tuple[int, int, int, int]:
    """Return true negatives, false positives, false negatives, true positives at the threshold."""
    tn, fp, fn, tp = np.bincount(judged.cell, minlength=4).tolist()
    return tn, fp, fn, tp


def roc_points(judged: Judged, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return false-positive rates and recalls [<= points + 1] to draw; empty where a class is missing."""
    if judged.truth.all() or not judged.truth.any():
        return np.empty(0), np.empty(0)
    fpr, tpr, _ = roc_curve(judged.truth, judged.probability)
    keep = _thin((fpr + tpr) / 2, points)
    return fpr[keep], tpr[keep]


def pr_points(judged: Judged, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return recalls and precisions [<= points + 1] by rising recall; empty without positives."""
    if not judged.truth.any():
        return np.empty(0), np.empty(0)
    precision, recall, _ = precision_recall_curve(judged.truth, judged.probability)
    precision, recall = precision[::-1], recall[::-1]
    keep = _thin(recall, points)
    return recall[keep], precision[keep]


def _thin(length: np.ndarray, points: int) -> np.ndarray:
    """Choose places that lie evenly along a rising length in [0, 1], the first and the last among them."""
    places = np.searchsorted(length, np.linspace(0, 1, points))
    return np.unique(np.append(np.minimum(places, len(length) - 1), len(length) - 1))


def reliability(judged: Judged) -> list[tuple[float, float, int]]:
    """Return (mean probability, share of positives, rows) for each of the 15 bins that holds rows."""
    rows = np.bincount(judged.bin, minlength=BINS)
    filled = rows > 0
    mean = np.bincount(judged.bin, judged.probability, BINS)[filled] / rows[filled]
    share = np.bincount(judged.bin, judged.truth, BINS)[filled] / rows[filled]
    return list(zip(mean.tolist(), share.tolist(), rows[filled].tolist(), strict=True))


@dataclass(frozen=True)
class CategoryScore:
    """How well one class of several is told from the others."""

    name: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class CategoryScores:
    """A multi-class report; `matrix[i][j]` counts rows of class i that were called class j."""

    f1_macro: float
    classes: tuple[CategoryScore, ...]
    matrix: tuple[tuple[int, ...], ...]


def score_categories(truth: np.ndarray, predicted: np.ndarray) -> CategoryScores:
    """Compare named classes, [N] each; an undefined precision or recall counts as 0."""
    names = sorted({*truth.tolist(), *predicted.tolist()})
    precision, recall, f1, rows = precision_recall_fscore_support(
        truth, predicted, labels=names, zero_division=0
    )
    lines = zip(names, rows, precision, recall, f1, strict=True)
    return CategoryScores(
        f1_macro=float(np.mean(f1)),
        classes=tuple(CategoryScore(n, int(r), float(p), float(c), float(f)) for n, r, p, c, f in lines),
        matrix=tuple(tuple(row) for row in confusion_matrix(truth, predicted, labels=names).tolist()),
    )
