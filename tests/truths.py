"""Truth as columns, written the short way."""

from dataclasses import replace
from typing import Any

import numpy as np

from tocsin.data.dataset import Dataset


def truths(label: Any, category: Any = None) -> dict[str, np.ndarray]:
    """Return the columns of a `Label`: 1, 0 or -1 for none, and the kinds of positives, '' for none."""
    number = np.asarray(label, dtype=np.float64)
    kinds = np.full(len(number), None, dtype=object)
    if category is not None:
        kinds[:] = [kind or None for kind in category]
    return {"label": np.where(number < 0, np.nan, number), "category": kinds}


def relabel(dataset: Dataset, label: Any, category: Any = None) -> Dataset:
    """Return the dataset with other labels; kinds stay where none are given."""
    kinds = dataset.truth["category"] if category is None else category
    return replace(dataset, truth=truths(label, kinds))
