"""A probe: a quick model that shows how much the rows give away. Not one that anyone should use.

Trees on the fields where they are numbers and names, logistic regression on words where they are free text.
Shapes: N rows, F features.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tocsin.audit.sides import is_missing
from tocsin.core.types import Columns, holds_sequences, rows, sizes_of
from tocsin.data.texts import join_texts

LEAST_SEEN, MOST_VALUES = 5, 250
"""A name that training has more rarely, or beyond the most frequent ones, is `unknown` to the trees."""
HASHES = 2**16
EDGES = 16
"""Bins of a number that is to stand among words."""
WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
"""A word, or a letter of a script that puts no spaces between words."""

Predict = Callable[[Columns], np.ndarray]


@dataclass(frozen=True)
class Growth:
    """How large the trees grow."""

    trees: int = 150
    leaves: int = 31
    threads: int = 1


CAUTIOUS = Growth(trees=60, leaves=6)
"""Too small to learn wrong labels by heart."""


@dataclass(frozen=True)
class Probe:
    """A fitted probe: `predict` returns the probability of label 1, float64 [N]."""

    predict: Predict
    description: str


def fit_probe(
    columns: Columns, label: np.ndarray, texts: Sequence[str] = (), growth: Growth = Growth()
) -> Probe:
    """Fit a probe on rows with labels [N] of 0 and 1, both of them there; `texts` are the columns of free text."""
    return fit_words(columns, label, texts) if texts else fit_trees(columns, label, growth)


def measured(columns: Columns) -> Columns:
    """Return columns with the sizes of sequences in place of them: all that a probe sees of those."""
    return {n: sizes_of(values) if holds_sequences(values) else values for n, values in columns.items()}


def fit_trees(columns: Columns, label: np.ndarray, growth: Growth = Growth()) -> Probe:
    """Fit gradient boosted trees on numbers, and on names as codes."""
    import lightgbm

    columns = measured(columns)
    known = {name: _frequent(values) for name, values in columns.items() if values.dtype == object}
    matrix = _flatten(columns, known)
    codes = [i for i, name in enumerate(columns) if name in known]
    data = lightgbm.Dataset(matrix, label, categorical_feature=codes, free_raw_data=True)
    settings = {
        "objective": "binary", "learning_rate": 0.1, "num_leaves": growth.leaves, "min_data_in_leaf": 10,
        "deterministic": True, "force_row_wise": True, "num_threads": growth.threads, "seed": 0, "verbosity": -1,
    }  # fmt: skip
    booster = lightgbm.train(settings, data, num_boost_round=growth.trees)

    def predict(other: Columns) -> np.ndarray:
        return np.asarray(
            booster.predict(_flatten(measured(other), known), num_threads=growth.threads), dtype=np.float64
        )

    return Probe(predict, f"LightGBM, {growth.trees} trees of {growth.leaves} leaves")


def _flatten(columns: Columns, known: dict[str, dict[str, int]]) -> np.ndarray:
    """Return float32 [N, F]: numbers as they are, names as codes from 1 on, 0 where unknown, NaN where missing."""
    out = np.empty((rows(columns), len(columns)), dtype=np.float32)
    for i, (name, values) in enumerate(columns.items()):
        if name in known:
            codes = [np.nan if value is None else known[name].get(value, 0) for value in values.tolist()]
            out[:, i] = codes
        else:
            with np.errstate(over="ignore"):
                out[:, i] = values
    return out


def _frequent(values: np.ndarray) -> dict[str, int]:
    names, counts = np.unique([v for v in values.tolist() if v is not None] or [""], return_counts=True)
    order = np.lexsort((names, -counts))
    return {
        str(names[i]): code for code, i in enumerate(order[:MOST_VALUES], start=1) if counts[i] >= LEAST_SEEN
    }


def fit_words(columns: Columns, label: np.ndarray, texts: Sequence[str]) -> Probe:
    """Fit logistic regression on hashed words, pairs of words, and the other fields as words `name=value`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    columns = measured(columns)
    edges = {n: _edges(v) for n, v in columns.items() if v.dtype != object}
    hashing = HashingVectorizer(analyzer=list, n_features=HASHES, alternate_sign=False)
    model = LogisticRegression(C=20.0, solver="liblinear", dual=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a probe need not be at its best
        model.fit(hashing.transform(say(columns, texts, edges)), label)

    def predict(other: Columns) -> np.ndarray:
        found: Any = model.predict_proba(hashing.transform(say(measured(other), texts, edges)))
        return np.asarray(found[:, 1], dtype=np.float64)

    return Probe(predict, "logistic regression on hashed words and pairs of words")


def say(columns: Columns, texts: Sequence[str], edges: dict[str, np.ndarray]) -> list[list[str]]:
    """Return the words of each row: those of its free texts, and `name=value` for each other field in `edges`."""
    said = [split_words(text) for text in (join_texts(columns, texts) if texts else [""] * rows(columns))]
    for name, values in columns.items():
        if name in texts or (values.dtype != object and name not in edges):
            continue
        shown = values if values.dtype == object else np.searchsorted(edges[name], values)
        missing = is_missing(values)
        for words, value, absent in zip(said, shown.tolist(), missing.tolist(), strict=True):
            words.append(f"{name}=" if absent else f"{name}={value}")
    return said


def split_words(text: str) -> list[str]:
    """Return the words of a text and its pairs of neighbouring words, without letter case."""
    words = WORD.findall(text.casefold())
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def _edges(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.unique(np.quantile(finite, np.linspace(0, 1, EDGES + 1)[1:-1])) if len(finite) else np.zeros(0)
