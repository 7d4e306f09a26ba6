"""TF-IDF of words and characters with logistic regression.

Shapes: N texts.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Rung

TFIDF = "TF-IDF of words (1-2) and characters (2-4)"


@dataclass(frozen=True, eq=False)
class Vectors:
    """TF-IDF that was fitted on the texts of training."""

    union: Any
    matrix: Any
    """Of the texts that it was fitted on."""

    def of(self, inputs: Inputs) -> Any:
        """Return the sparse matrix of other texts, made once for all models that read it."""
        return inputs.once(self._transform)

    def _transform(self, inputs: Inputs) -> Any:
        return self.union.transform(inputs.texts)


def fit_vectors(inputs: Inputs) -> Vectors:
    """Fit TF-IDF; call it by `inputs.once(fit_vectors)`, so that the first model that needs it pays for all."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    how: dict[str, Any] = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    words = TfidfVectorizer(ngram_range=(1, 2), max_features=200_000, **how)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=200_000, **how)
    union = make_union(words, letters)
    return Vectors(union, union.fit_transform(inputs.texts).tocsr())


@dataclass(frozen=True)
class LogisticWords:
    """A fitted logistic regression."""

    vectors: Vectors
    model: Any
    description: str

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]."""
        return np.asarray(self.model.predict_proba(self.vectors.of(inputs))[:, 1], dtype=np.float64)


def fit(train: Examples, _valid: Examples, seed: int) -> LogisticWords:
    """Fit on the texts of training."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    vectors = train.once(fit_vectors)
    model = LogisticRegression(C=4.0, max_iter=300, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below, in the description
        model.fit(vectors.matrix, train.label)
    steps = int(model.n_iter_[0])
    end = "" if steps < model.max_iter else ", not converged"
    return LogisticWords(vectors, model, f"{TFIDF}, logistic regression, L2 C=4, {steps} iterations{end}")


BASELINE = Baseline(reads="texts", fit=fit, rung=Rung.LINEAR)
