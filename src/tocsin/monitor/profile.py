"""The profile: what rows and scores looked like when the model was proved, to measure drift against.

Shapes: N rows.
"""

import re
from collections import Counter
from types import MappingProxyType
from typing import Any

import numpy as np

from tocsin.core.types import Columns
from tocsin.data.texts import is_free_text

QUANTILES = 20
TOP_VALUES = 50
VARIED = 0.5
"""Share of distinct values from which short texts, too, are what people wrote: subjects, names of persons."""
LOOKED_AT = 10_000
"""Free texts whose letters are counted, drawn evenly."""
SCRIPTS = MappingProxyType(
    {
        name: re.compile(f"[{letters}]")
        for name, letters in {
            "latin": "A-Za-z\u00c0-\u024f",
            "greek": "\u0370-\u03ff",
            "cyrillic": "\u0400-\u052f",
            "hebrew": "\u0590-\u05ff",
            "arabic": "\u0600-\u06ff\u0750-\u077f",
            "indic": "\u0900-\u0dff",
            "thai": "\u0e00-\u0e7f",
            "hangul": "\u1100-\u11ff\uac00-\ud7af",
            "kana": "\u3040-\u30ff",
            "han": "\u3400-\u9fff",
        }.items()
    }
)
_SHAPE = MappingProxyType(
    {
        "digits": re.compile(r"\d"),
        "capitals": re.compile(r"[A-Z\u00c0-\u00de\u0410-\u042f]"),
        "signs": re.compile(r"[^\w\s]"),
        "links": re.compile(r"(?i)https?://|www\."),
        "lines": re.compile(r"\n"),
    }
)
SCORE_BINS = 20


def profile(columns: Columns, probability: np.ndarray) -> dict[str, Any]:
    """Describe columns and the probability [N] of a positive as plain JSON values."""
    return {
        "rows": len(probability),
        "columns": {name: profile_column(values) for name, values in columns.items()},
        "score": profile_score(probability),
    }


def profile_column(values: np.ndarray) -> dict[str, Any]:
    """Describe one column [N]; infinities count as missing, since the encoder reads them so.

    Values of text are named where they are names or codes. Of free text nothing is kept but numbers: it is private.
    """
    if values.dtype != object:
        return _profile_number(values)
    counts = Counter(value for value in values.tolist() if value is not None)
    varied = len(counts) > max(TOP_VALUES, VARIED * counts.total())
    return _profile_free(values) if varied or is_free_text(values) else _profile_text(values, counts)


def _profile_number(values: np.ndarray) -> dict[str, Any]:
    present = values[np.isfinite(values)]
    return {
        "kind": "number",
        "count": len(values),
        "missing": 1 - len(present) / max(len(values), 1),
        "mean": float(present.mean()) if len(present) else None,
        "std": float(present.std()) if len(present) else None,
        "quantiles": _quantiles(present),
    }


def _profile_free(values: np.ndarray) -> dict[str, Any]:
    """Describe free text without a word of it: lengths, scripts of its letters, signs per hundred characters."""
    present = [value for value in values.tolist() if value]
    step = max(1, len(present) // LOOKED_AT)
    drawn = "\n".join(present[::step])
    letters = {name: len(pattern.findall(drawn)) for name, pattern in SCRIPTS.items()}
    total, size = max(sum(letters.values()), 1), max(len(drawn), 1)
    return {
        "kind": "free text",
        "count": len(values),
        "missing": 1 - len(present) / max(len(values), 1),
        "distinct": len(set(present)),
        "characters": _quantiles(np.array([len(value) for value in present])),
        "words": _quantiles(np.array([len(value.split()) for value in present])),
        "scripts": {name: count / total for name, count in letters.items() if count},
        "per_hundred_characters": {n: 100 * len(p.findall(drawn)) / size for n, p in _SHAPE.items()},
    }


def _quantiles(values: np.ndarray) -> list[float]:
    cuts = np.linspace(0, 1, QUANTILES + 1)
    return np.quantile(values, cuts).tolist() if len(values) else []


def _profile_text(values: np.ndarray, counts: "Counter[str]") -> dict[str, Any]:
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
