"""What a stage optimises, and the ordered stages of a detector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from tocsin.core.detector import Encoder, Schema
from tocsin.core.recipe import Recipe, StageSection
from tocsin.core.types import Arrays, Columns
from tocsin.engine.batch import BatchSource


@dataclass(frozen=True)
class StepOutput:
    """One forward pass: the SUM of the loss over its terms, and the named outputs, row axis first."""

    loss_sum: Tensor
    scores: dict[str, Tensor]


@dataclass(frozen=True)
class Report:
    """One evaluation. `value` is what early stopping and `best` follow: higher is better."""

    value: float
    metrics: Mapping[str, float]


class Task(Protocol):
    """What one stage optimises."""

    def build(self) -> nn.Module:
        """Make the model; called after the generators are seeded."""
        ...

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Run the model; the loss is summed, never averaged. Works for zero rows."""
        ...

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Judge all validation rows at once: named outputs, named targets, mean loss."""
        ...


@dataclass(frozen=True)
class WarmStart:
    """Copy parameters from the best weights of an earlier stage; InputError if `include` matches nothing."""

    stage: str
    include: str = "*"


@dataclass(frozen=True)
class Stage:
    """One fit."""

    name: str
    task: Task
    train: BatchSource
    valid: BatchSource
    section: StageSection
    init: tuple[WarmStart, ...] = ()
    adapters_only: bool = False
    """Leave frozen parameters out of all files: `build` makes them again, such as a base under LoRA."""


@dataclass(frozen=True)
class Plan:
    """The ordered fits of a detector; the last stage's model is packaged.

    That model's forward takes the encoder's arrays as keyword arguments and returns named outputs:
    `logit` [B] for the positive label, and, where there are categories, `category` [B, K].
    """

    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Part:
    """One side of the split, encoded. Shapes: N rows."""

    columns: Columns
    arrays: Arrays
    label: np.ndarray
    """[N] int64: 1, 0, or -1 where there is no label."""
    category: np.ndarray
    """[N] int64 index into the plan's categories, or -1."""
    facets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> [N] object: where a row comes from, to draw rows by; never a feature."""

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class PlanContext:
    """Everything that a detector's plan may use. The test rows are not in it."""

    recipe: Recipe[Any]
    schema: Schema
    encoder: Encoder
    train: Part
    valid: Part
    seed: int
    categories: tuple[str, ...] = ()
    unlabelled: Part | None = field(default=None)
