"""How many kinds of words a text shows that people would list; in a graph, a table over their number.

Shapes: B rows, K kinds.
"""

from dataclasses import dataclass

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Nodes, Rung
from tocsin.detectors.phishing.features.cues import CUES, WORDS


@dataclass(frozen=True)
class RuleModel:
    """`table` float64 [K + 1]: the logit of a text that shows so many kinds; it never falls."""

    table: np.ndarray
    description: str = f"how many of {len(WORDS)} kinds of words occur: {', '.join(WORDS)}"

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [B]."""
        from scipy.special import expit

        probability: np.ndarray = expit(self.table[inputs.arrays[CUES].sum(axis=1)])
        return probability


def fit(train: Examples, _valid: Examples, _seed: int) -> RuleModel:
    """Count kinds; training only turns the count into a probability."""
    from scipy.special import logit

    points, size = train.arrays[CUES].sum(axis=1), len(WORDS) + 1
    rows, positives = np.bincount(points, minlength=size), np.bincount(points, train.label, minlength=size)
    share = np.maximum.accumulate((positives + train.label.mean()) / (rows + 1.0))
    return RuleModel(logit(share))


def add_rules(graph: Nodes, model: RuleModel) -> str:
    """Add `table[number of kinds]` and return the float64 logit [B]."""
    number = graph.add("ReduceSum", [CUES, graph.hold(np.array([1], dtype=np.int64))], {"keepdims": 0})
    return graph.add("Gather", [graph.hold(model.table.astype(np.float64)), number])


BASELINE = Baseline(reads=(CUES,), fit=fit, graph=add_rules, rung=Rung.RULE)
