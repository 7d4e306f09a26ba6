"""Baselines that read texts: n-grams with a linear model.

Shapes: N texts.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from tocsin.core.errors import InputError

Predict = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Reader:
    """A fitted model: `predict` takes N texts and returns the probability of a positive, float64 [N]."""

    name: str
    predict: Predict
    description: str
    seconds: float


class Vectors:
    """TF-IDF of words (1-2) and characters (2-4), fitted on N texts once for all models that read it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._seen: list[tuple[Sequence[str], Any]] = []

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        how: dict[str, Any] = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
        words = TfidfVectorizer(ngram_range=(1, 2), max_features=200_000, **how)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=200_000, **how)
        both = make_union(words, letters)
        return both, both.fit_transform(self.texts).tocsr()

    @property
    def matrix(self) -> Any:
        """Return the matrix of the texts that it was fitted on."""
        return self._fitted[1]

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the matrix of other texts; that of the same sequence is remembered."""
        for known, matrix in self._seen:
            if known is texts:
                return matrix
        self._seen.append((texts, self._fitted[0].transform(texts)))
        return self._seen[-1][1]


def fit_reader(name: str, texts: Sequence[str], label: np.ndarray, seed: int) -> Reader:
    """Fit one of READERS on N texts and their labels of 0 and 1; InputError where a class is missing."""
    return fit_readers([name], texts, label, seed)[name]


def fit_readers(
    names: Sequence[str], texts: Sequence[str], label: np.ndarray, seed: int
) -> dict[str, Reader]:
    """Fit several of READERS on the same texts; the first that needs the vectors pays for them.

    InputError where a class is missing.
    """
    if len(np.unique(label)) < 2:
        raise InputError(f"baselines need both classes in training, all {len(label)} rows are {label[:1]}")
    vectors, found = Vectors(texts), {}
    for name in names:
        start = time.perf_counter()
        predict, description = READERS[name](vectors, label, seed)
        found[name] = Reader(name, predict, description, time.perf_counter() - start)
    return found


def _fit_tfidf(vectors: Vectors, label: np.ndarray, seed: int) -> tuple[Predict, str]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=4.0, max_iter=300, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below, in the description
        model.fit(vectors.matrix, label)
    steps = int(model.n_iter_[0])
    end = "" if steps < model.max_iter else ", not converged"
    description = f"{TFIDF}, logistic regression, L2 C=4, {steps} iterations{end}"
    return lambda unseen: np.asarray(
        model.predict_proba(vectors.transform(unseen))[:, 1], dtype=np.float64
    ), description


def _fit_svm(vectors: Vectors, label: np.ndarray, seed: int) -> tuple[Predict, str]:
    """Fit a linear SVM, which decides where its probability is 0.5."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=0.5, random_state=seed).fit(vectors.matrix, label)
    words = f"{TFIDF}, linear SVM, C=0.5; probability: sigmoid of {STEEP:g} margins"
    return lambda unseen: expit(STEEP * model.decision_function(vectors.transform(unseen))), words


TFIDF = "TF-IDF of words (1-2) and characters (2-4)"
STEEP = 3.0
"""The margin of the SVM is no probability: this scale only keeps its order and its decision, at 0.5."""


READERS: Mapping[str, Callable[[Vectors, np.ndarray, int], tuple[Predict, str]]] = {
    "tfidf": _fit_tfidf,
    "tfidf-svm": _fit_svm,
}
