"""What the rows are: the contents of `stats_report.json`."""

from typing import Any

import numpy as np

from tocsin.audit.contents import LANGUAGES
from tocsin.audit.sides import count, is_missing
from tocsin.data.dataset import Dataset
from tocsin.data.texts import Wanted, find_texts

QUANTILES = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def describe_rows(dataset: Dataset, text: Wanted = "auto") -> dict[str, Any]:
    """Return class balance, kinds, missing values, lengths, languages, sources, refused rows and repairs."""
    values, counts = np.unique(dataset.label, return_counts=True)
    names = {1: "positive", 0: "negative", -1: "unlabelled"}
    return {
        "rows": len(dataset),
        "class_balance": {names[int(v)]: int(c) for v, c in zip(values, counts, strict=True)},
        "categories": count(dataset.category[dataset.category != ""]),
        "missing_values": {name: int(is_missing(column).sum()) for name, column in dataset.columns.items()},
        "sequence_length": {n: _lengths(dataset, n) for n in find_texts(dataset.columns, text)},
        "language_distribution": _languages(dataset),
        "sources": count(dataset.source),
        "slices": {name: _slice(dataset, name) for name in sorted(set(dataset.source.tolist()))},
        "refused_rows": len(dataset.refused),
        "repairs": dict(dataset.repairs),
    }


def _lengths(dataset: Dataset, name: str) -> dict[str, Any]:
    """Return quantiles of characters and words of a column, over all rows and for each class."""
    texts = dataset.columns[name]
    characters = np.array([len(v or "") for v in texts], dtype=np.int64)
    words = np.array([len((v or "").split()) for v in texts], dtype=np.int64)
    classes = {"positive": dataset.label == 1, "negative": dataset.label == 0}
    found = {"characters": _quantiles(characters), "words": _quantiles(words)}
    return found | {
        f"characters, {n}": _quantiles(characters[rows]) for n, rows in classes.items() if rows.any()
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    known = {name: float(np.quantile(values, q)) for name, q in QUANTILES.items()}
    return known | {"mean": float(values.mean())}


def _languages(dataset: Dataset) -> dict[str, int]:
    found = next((dataset.columns[name] for name in LANGUAGES if name in dataset.columns), None)
    return {} if found is None or found.dtype != object else count(found)


def _slice(dataset: Dataset, source: str) -> dict[str, Any]:
    rows = dataset.source == source
    return {"rows": int(rows.sum()), "positives": int((dataset.label[rows] == 1).sum())}
