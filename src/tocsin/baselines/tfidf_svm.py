"""TF-IDF of words and characters with a linear SVM.

Shapes: N texts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.baselines.tfidf import TFIDF, Vectors, fit_vectors
from tocsin.core.baseline import Baseline, Examples, Inputs

STEEP = 3.0
"""The margin of the SVM is no probability: this scale only keeps its order and its decision, at 0.5."""


@dataclass(frozen=True)
class SvmWords:
    """A fitted SVM, which decides where its probability is 0.5."""

    vectors: Vectors
    model: Any
    description: str = f"{TFIDF}, linear SVM, C=0.5; probability: sigmoid of {STEEP:g} margins"

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]."""
        from scipy.special import expit

        found: np.ndarray = expit(STEEP * self.model.decision_function(self.vectors.of(inputs)))
        return found


def fit(train: Examples, _valid: Examples, seed: int) -> SvmWords:
    """Fit on the texts of training."""
    from sklearn.svm import LinearSVC

    vectors = train.once(fit_vectors)
    return SvmWords(vectors, LinearSVC(C=0.5, random_state=seed).fit(vectors.matrix, train.label))


BASELINE = Baseline(reads="texts", fit=fit)
