"""A baseline that can be shipped: how many kinds of words a text shows that people would list.

Shapes: B rows, K kinds.
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from tocsin.core.errors import InputError
from tocsin.core.types import Arrays
from tocsin.features.cues import CUES, WORDS

RULES = "rules"


@dataclass(frozen=True)
class RuleModel:
    """`table` float64 [K + 1]: the logit of a text that shows so many kinds; it never falls."""

    table: np.ndarray
    seconds: float
    description: str

    def predict(self, arrays: Arrays) -> np.ndarray:
        """Return the probability of a positive, float64 [B]."""
        probability: np.ndarray = expit(self.table[arrays[CUES].sum(axis=1)])
        return probability


def fit_rules(train: tuple[Arrays, np.ndarray], _valid: tuple[Arrays, np.ndarray], _seed: int) -> RuleModel:
    """Count kinds in (arrays, labels [B] of 0 and 1); training only turns the count into a probability.

    InputError where the arrays hold no cues.
    """
    arrays, label = train
    if CUES not in arrays:
        raise InputError("rules: the arrays of these samples hold no cues")
    start = time.perf_counter()
    points, size = arrays[CUES].sum(axis=1), len(WORDS) + 1
    rows, positives = np.bincount(points, minlength=size), np.bincount(points, label, minlength=size)
    share = np.maximum.accumulate((positives + label.mean()) / (rows + 1.0))
    words = f"how many of {len(WORDS)} kinds of words occur: {', '.join(WORDS)}"
    return RuleModel(logit(share), time.perf_counter() - start, words)
