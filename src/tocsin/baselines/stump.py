"""One split of one feature.

Shapes: N rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Rung


@dataclass(frozen=True)
class Stump:
    """A decision tree of depth 1."""

    tree: Any
    description: str

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]."""
        return np.asarray(self.tree.predict_proba(inputs.flat[0])[:, 1], dtype=np.float64)


def fit(train: Examples, _valid: Examples, seed: int) -> Stump:
    """Find the split that tells most."""
    from sklearn.tree import DecisionTreeClassifier

    matrix, names, _ = train.flat
    tree = DecisionTreeClassifier(max_depth=1, random_state=seed).fit(matrix, train.label)
    column = int(tree.tree_.feature[0])
    if column < 0:
        return Stump(tree, "no single feature splits the classes")
    return Stump(tree, f"{names[column]} against {tree.tree_.threshold[0]:.4g} as encoded")


BASELINE = Baseline(reads="flat", fit=fit, rung=Rung.RULE)
