"""The same answer for every row.

Shapes: N rows.
"""

from dataclasses import dataclass

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Rung


@dataclass(frozen=True)
class Constant:
    """The share of positives in training."""

    share: float

    @property
    def description(self) -> str:
        """The model in a few words."""
        return f"always the share of positives in training, {self.share:.4f}"

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the share for each row, float64 [N]."""
        return np.full(len(inputs), self.share)


def fit(train: Examples, _valid: Examples, _seed: int) -> Constant:
    """Count the positives."""
    return Constant(float(train.label.mean()))


BASELINE = Baseline(reads=(), fit=fit, rung=Rung.CONSTANT)
