"""The profile: what rows and scores looked like when the model was proved, to measure drift against.

Shapes: N rows.
"""

from collections import Counter
from typing import Any

import numpy as np

from tocsin.core.types import Columns

QUANTILES = 20
TOP_VALUES = 50
SCORE_BINS = 20


def profile(columns: Columns, probability: np.ndarray) -> dict[str, Any]:
    """Describe columns and the probability [N] of a positive as plain JSON values."""
    return {
        "rows": len(probability),
        "columns": {name: profile_column(values) for name, values in columns.items()},
        "score": profile_score(probability),
    }


def profile_column(values: np.ndarray) -> dict[str, Any]:
    """Describe one column [N]; infinities count as missing, since the encoder reads them so."""
    return _profile_text(values) if values.dtype == object else _profile_number(values)


def _profile_number(values: np.ndarray) -> dict[str, Any]:
    present = values[np.isfinite(values)]
    cuts = np.linspace(0, 1, QUANTILES + 1)
    return {
        "kind": "number",
        "count": len(values),
        "missing": 1 - len(present) / max(len(values), 1),
        "mean": float(present.mean()) if len(present) else None,
        "std": float(present.std()) if len(present) else None,
        "quantiles": np.quantile(present, cuts).tolist() if len(present) else [],
    }


def _profile_text(values: np.ndarray) -> dict[str, Any]:
    counts = Counter(value for value in values.tolist() if value is not None)
    present, top = counts.total(), sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_VALUES]
    return {
        "kind": "text",
        "count": len(values),
        "missing": 1 - present / max(len(values), 1),
        "distinct": len(counts),
        "top": {value: count / present for value, count in top},
        "other": 1 - sum(count for _, count in top) / present if present else 0.0,
    }


def profile_score(probability: np.ndarray) -> dict[str, Any]:
    """Describe probabilities [N] in [0, 1]: their mean and the share in each of 20 equal bins."""
    counts, edges = np.histogram(probability, bins=SCORE_BINS, range=(0, 1))
    total = max(len(probability), 1)
    mean = float(probability.mean()) if len(probability) else None
    return {"mean": mean, "edges": edges.tolist(), "shares": (counts / total).tolist()}
