"""The task of a verdict: positive or negative, and beside it the kind of a positive where that is known.

Shape legend: B rows, K kinds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tocsin.core.axes import Axes
from tocsin.core.heads import LOGIT, Head, probability
from tocsin.core.types import Arrays
from tocsin.engine.optim import Corrections
from tocsin.engine.task import Part, StepOutput
from tocsin.metrics.classification import judge, measure
from tocsin.nn.losses import loss_terms, sum_binary_cross_entropy, sum_categorical_cross_entropy

KINDS = "category"


def decision_heads(kinds: int) -> tuple[Head, ...]:
    """Return the heads of a verdict: `logit` [B], and where there are kinds, `category` [B, K]."""
    return (LOGIT, Head(KINDS, "kinds", (kinds,))) if kinds else (LOGIT,)


def decision_targets(part: Part) -> Arrays:
    """Return what a verdict is compared with: `label` and `category`, int64 [N] each."""
    return {"label": part.label, KINDS: part.category}


def decision_terms(part: Part, corrections: Corrections) -> np.ndarray:
    """Return what each row adds to the count of the loss, float64 [N]."""
    return loss_terms(torch.as_tensor(part.label), corrections.weight_K).numpy()


@dataclass(frozen=True)
class Decide:
    """The loss and the measures of a verdict, for a task to use."""

    kinds: int
    kinds_weight: float
    """Weight of the loss of the kind; 0 leaves it out."""
    corrections: Corrections

    @property
    def heads(self) -> tuple[Head, ...]:
        """Return the heads of a verdict."""
        return decision_heads(self.kinds)

    @property
    def target_axes(self) -> Axes:
        """Return no axes: a row has one label and one kind."""
        return {}

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum over rows: binary loss, plus the weighted cross-entropy of the kind."""
        outputs, weight_2 = model(**inputs), self.corrections.weight_K
        how: dict[str, Any] = {"gamma": self.corrections.gamma, "smoothing": self.corrections.smoothing}
        loss_sum = sum_binary_cross_entropy(outputs[LOGIT.name], targets["label"], weight_2=weight_2, **how)
        if self.kinds and self.kinds_weight:
            kind = sum_categorical_cross_entropy(outputs[KINDS], targets[KINDS], **how)
            loss_sum = loss_sum + self.kinds_weight * kind
        return StepOutput(loss_sum, outputs)

    def measure(self, scores: Arrays, targets: Arrays, rows: np.ndarray | None = None) -> dict[str, float]:
        """Return the measures of the verdict at 0.5, of all rows or of those that are marked [N]."""
        chosen = slice(None) if rows is None else rows
        found = probability(scores[LOGIT.name][chosen])
        return measure(judge(targets["label"][chosen], found, 0.5))
