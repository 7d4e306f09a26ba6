"""A baseline that can be shipped: which character n-grams are in a text, and a linear model of them.

Shapes: B rows, C places for letters.
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

from tocsin.core.errors import InputError
from tocsin.core.types import Arrays
from tocsin.features.letters import BUCKETS, LETTERS, LONGEST, find_buckets
from tocsin.metrics.calibration import fit_temperature

NGRAMS = "ngrams"
CHUNK = 2_000
STRENGTH = 2.0
"""C of the linear SVM, chosen on validation rows (docs/log.md)."""


@dataclass(frozen=True)
class GramModel:
    """A fitted linear model; `weights` float32 [BUCKETS] and `bias` give a calibrated logit."""

    weights: np.ndarray
    bias: float
    seconds: float
    description: str

    def decide(self, arrays: Arrays) -> np.ndarray:
        """Return the logit of each row, float64 [B]."""
        rows = len(arrays[LETTERS])
        parts = [_presence(arrays[LETTERS][i : i + CHUNK]) for i in range(0, rows, CHUNK)]
        found = [part @ self.weights.astype(np.float64) for part in parts]
        return np.concatenate([np.zeros(0), *found]) + self.bias

    def predict(self, arrays: Arrays) -> np.ndarray:
        """Return the probability of a positive, float64 [B]."""
        probability: np.ndarray = expit(self.decide(arrays))
        return probability


def fit_ngrams(train: tuple[Arrays, np.ndarray], valid: tuple[Arrays, np.ndarray], seed: int) -> GramModel:
    """Fit on (arrays, labels [B] of 0 and 1); validation rows choose the temperature.

    InputError where the arrays hold no letters, or a class is missing.
    """
    arrays, label = train
    if LETTERS not in arrays:
        raise InputError("ngrams: the arrays of these samples hold no letters, see model.letters")
    if len(np.unique(label)) < 2:
        raise InputError(f"baselines need both classes in training, all {len(label)} rows are {label[:1]}")
    from scipy.sparse import vstack
    from sklearn.svm import LinearSVC

    start = time.perf_counter()
    parts = [_presence(arrays[LETTERS][i : i + CHUNK]) for i in range(0, len(label), CHUNK)]
    svm = LinearSVC(C=STRENGTH, random_state=seed).fit(vstack(parts).tocsr(), label)
    raw = GramModel(svm.coef_[0].astype(np.float32), float(svm.intercept_[0]), 0.0, "")
    temperature = fit_temperature(valid[1], raw.decide(valid[0])).temperature
    words = f"character n-grams (1-{LONGEST}) that occur, folded, hashed; linear SVM, C={STRENGTH:g}"
    weights = (raw.weights / temperature).astype(np.float32)
    return GramModel(weights, raw.bias / temperature, time.perf_counter() - start, words)


def _presence(letters: np.ndarray) -> csr_matrix:
    """Return 1 / root of the number of n-grams where an n-gram occurs, [B, BUCKETS]."""
    row, bucket = find_buckets(letters)
    number = np.bincount(row, minlength=len(letters))
    worth = (1 / np.sqrt(np.maximum(number, 1)))[row]
    return csr_matrix((worth, (row, bucket)), shape=(len(letters), BUCKETS))
