"""Facts about each column, and how much of the label it tells by itself.

Shapes: N training rows, V validation rows, B bins.
"""

from typing import Literal

import numpy as np

from tocsin.audit.findings import ColumnFacts
from tocsin.core.types import holds_sequences, sizes_of
from tocsin.data.dataset import Dataset
from tocsin.metrics.classification import judge, measure

BINS = 64
PRIOR_ROWS = 10.0
"""Rows of average label that each bin is mixed with, so that rare values tell little."""


def describe_columns(train: Dataset, valid: Dataset) -> tuple[ColumnFacts, ...]:
    """Describe every column of the training rows, the most telling first."""
    judged_on = valid if len(np.unique(valid.label)) == 2 else train
    found = [_facts(name, train, judged_on) for name in train.columns]
    return tuple(sorted(found, key=lambda column: -(column.auc or 0.0)))


def _facts(name: str, train: Dataset, other: Dataset) -> ColumnFacts:
    column = train.columns[name]
    text = column.dtype == object
    missing = np.array([v is None for v in column], dtype=bool) if text else np.isnan(column)
    present = column[~missing]
    _, counts = np.unique(np.array(list(map(str, present))) if text else present, return_counts=True)
    return ColumnFacts(
        name=name,
        kind=kind_of(column),
        missing=float(missing.mean()) if len(missing) else 0.0,
        infinite=0 if text else int(np.isinf(column).sum()),
        distinct=len(counts),
        top_share=float(counts.max() / counts.sum()) if len(counts) else 0.0,
        auc=single_auc(column, train.label, other.columns[name], other.label),
    )


def kind_of(column: np.ndarray) -> Literal["number", "text", "sequence"]:
    """Return what a column [N] holds."""
    return "sequence" if holds_sequences(column) else "text" if column.dtype == object else "number"


def single_auc(column: np.ndarray, label: np.ndarray, other: np.ndarray, truth: np.ndarray) -> float | None:
    """Return the ROC-AUC on other rows of the share of positives per bin of one training column.

    Up to 64 bins at quantiles, or one per text; so a column need not rise with the label to be caught.
    Of sequences the sizes are binned. column, label: [N]; other, truth: [V]. None where a class is missing on either
    side.
    """
    if set(np.unique(label)) != {0, 1} or set(np.unique(truth)) != {0, 1}:
        return None
    if holds_sequences(column):
        column, other = sizes_of(column), sizes_of(other)
    codes, others = _text_bins(column, other) if column.dtype == object else _number_bins(column, other)
    rows = np.bincount(codes, minlength=others.max() + 1)
    positives = np.bincount(codes, label, minlength=len(rows))
    rate = (positives + PRIOR_ROWS * label.mean()) / (rows + PRIOR_ROWS)
    return measure(judge(truth, rate[others], 0.5))["roc_auc"]


def _text_bins(column: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each text of training a bin; what it never saw gets one that holds no row."""
    numbers: dict[str | None, int] = {}
    codes = np.array([numbers.setdefault(value, len(numbers)) for value in column], dtype=np.int64)
    return codes, np.array([numbers.get(value, len(numbers)) for value in other], dtype=np.int64)


def _number_bins(column: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut at quantiles; NaN is the last bin."""
    finite = column[np.isfinite(column)]
    edges = (
        np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1), method="lower"))
        if len(finite)
        else np.zeros(1)
    )
    codes, others = (np.searchsorted(edges, values, side="right") for values in (column, other))
    for values, places in ((column, codes), (other, others)):
        places[np.isnan(values)] = len(edges) + 1
    return codes, others
