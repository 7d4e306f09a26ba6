"""Which character n-grams are in a text, and a linear model of them; in a graph, in the steps of `letters.py`.

Shapes: B rows, C places for letters.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Nodes
from tocsin.core.types import Arrays
from tocsin.detectors.phishing.features.letters import (
    BUCKETS,
    CODES,
    FACTOR,
    LETTERS,
    LONGEST,
    PRIME,
    SALTS,
    find_buckets,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CHUNK = 2_000
STRENGTH = 2.0
"""C of the linear SVM, chosen on validation rows (docs/log.md)."""


@dataclass(frozen=True)
class GramModel:
    """A fitted linear model; `weights` float32 [BUCKETS] and `bias` give a calibrated logit."""

    weights: np.ndarray
    bias: float
    description: str = (
        f"character n-grams (1-{LONGEST}) that occur, folded, hashed; linear SVM, C={STRENGTH:g}"
    )

    def decide(self, arrays: Arrays) -> np.ndarray:
        """Return the logit of each row, float64 [B]."""
        weights = self.weights.astype(np.float64)
        found = [part @ weights for part in _presence(arrays[LETTERS])]
        return np.concatenate([np.zeros(0), *found]) + self.bias

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [B]."""
        from scipy.special import expit

        probability: np.ndarray = expit(self.decide(inputs.arrays))
        return probability


def fit(train: Examples, valid: Examples, seed: int) -> GramModel:
    """Fit on training rows; validation rows choose the temperature."""
    from scipy.sparse import vstack
    from sklearn.svm import LinearSVC

    from tocsin.metrics.calibration import fit_temperature

    matrix = vstack(_presence(train.arrays[LETTERS])).tocsr()
    svm = LinearSVC(C=STRENGTH, random_state=seed).fit(matrix, train.label)
    raw = GramModel(svm.coef_[0].astype(np.float32), float(svm.intercept_[0]))
    temperature = fit_temperature(valid.label, raw.decide(valid.arrays)).temperature
    return GramModel((raw.weights / temperature).astype(np.float32), raw.bias / temperature)


def _presence(letters: np.ndarray) -> "list[csr_matrix]":
    """Return 1 / root of the number of n-grams where an n-gram occurs, [B, BUCKETS] in parts of CHUNK rows."""
    from scipy.sparse import csr_matrix

    found = []
    for start in range(0, len(letters), CHUNK):
        part = letters[start : start + CHUNK]
        row, bucket = find_buckets(part)
        number = np.bincount(row, minlength=len(part))
        worth = (1 / np.sqrt(np.maximum(number, 1)))[row]
        found.append(csr_matrix((worth, (row, bucket)), shape=(len(part), BUCKETS)))
    return found


def add_ngrams(graph: Nodes, model: GramModel) -> str:
    """Add `bias + sum of weights / root of their number` over the marked n-grams; return the float64 logit [B]."""
    packed = graph.cast(LETTERS, "int64")
    code, marks = (graph.add(operator, [packed, _hold(graph, CODES)]) for operator in ("Mod", "Div"))
    table, last = graph.hold(model.weights.astype(np.float32)), graph.hold(np.array([1], dtype=np.int64))
    hashed, sums, counts = graph.add("Mul", [code, _hold(graph, 0)]), [], []
    for length in range(1, LONGEST + 1):
        ahead = _ahead(graph, code, length - 1)
        raised = graph.add("Mul", [hashed, _hold(graph, FACTOR)])
        raised = graph.add("Add", [graph.add("Add", [raised, ahead]), _hold(graph, 1)])
        hashed = graph.add("Mod", [raised, _hold(graph, PRIME)])
        salted = graph.add("Mul", [hashed, _hold(graph, SALTS[length - 1])])
        bucket = graph.add("Mod", [graph.add("Mod", [salted, _hold(graph, PRIME)]), _hold(graph, BUCKETS)])
        shifted = graph.add("Div", [marks, _hold(graph, 1 << (length - 1))])
        counted = graph.cast(graph.add("Mod", [shifted, _hold(graph, 2)]), "float64")
        worth = graph.cast(graph.add("Gather", [table, bucket]), "float64")
        sums.append(graph.add("ReduceSum", [graph.add("Mul", [worth, counted]), last], {"keepdims": 0}))
        counts.append(graph.add("ReduceSum", [counted, last], {"keepdims": 0}))
    total, number = graph.add("Sum", sums), graph.add("Sum", counts)
    root = graph.add("Sqrt", [graph.add("Max", [number, graph.hold(np.array(1.0))])])
    bias = graph.hold(np.array(model.bias, dtype=np.float64))
    return graph.add("Add", [graph.add("Div", [total, root]), bias])


def _hold(graph: Nodes, value: int) -> str:
    return graph.hold(np.array(value, dtype=np.int64))


def _ahead(graph: Nodes, code: str, by: int) -> str:
    """Return what stands `by` places further on; 0 behind the last place."""
    if not by:
        return code
    padded = graph.add("Pad", [code, graph.hold(np.array([0, 0, 0, by], dtype=np.int64))])
    ends = [np.array([n], dtype=np.int64) for n in (by, np.iinfo(np.int64).max, 1)]
    return graph.add("Slice", [padded, *map(graph.hold, ends)])


BASELINE = Baseline(reads=(LETTERS,), fit=fit, graph=add_ngrams, averaged=True)
