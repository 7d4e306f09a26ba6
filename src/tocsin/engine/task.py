"""What a stage optimises, and the ordered stages of a detector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from tocsin.core.axes import Axes
from tocsin.core.encoder import Encoder
from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.recipe import Recipe, StageSection
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, rows, take
from tocsin.data.dataset import read_category, read_label
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
    """What one stage optimises.

    Example: `engine/decisions.py` is the task of a verdict.
    """

    @property
    def heads(self) -> tuple[Head, ...]:
        """Return what the outputs are; an output that is no head is watched for its spread alone."""
        ...

    @property
    def target_axes(self) -> Axes:
        """Return the axes of targets whose size differs from batch to batch; {} where none does."""
        ...

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

    That model's forward names the arrays that it reads, and returns its task's heads by name.
    """

    stages: tuple[Stage, ...]

    @property
    def heads(self) -> tuple[Head, ...]:
        """Return the outputs of what is packaged."""
        return self.stages[-1].task.heads


@dataclass(frozen=True)
class Part:
    """One side of the split, encoded. Shapes: N rows."""

    columns: Columns
    arrays: Arrays
    truth: Columns
    """Field of the schema's truth -> [N]."""
    categories: tuple[str, ...] = ()
    """The kinds of positives that are learned."""
    facets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> [N] object: where a row comes from, to draw rows by; never a feature."""

    def __len__(self) -> int:
        return rows(self.arrays)

    @cached_property
    def label(self) -> np.ndarray:
        """[N] int64: 1, 0, or -1 where there is no label."""
        return read_label(self.truth, len(self))

    @cached_property
    def category(self) -> np.ndarray:
        """[N] int64 index into `categories`, or -1."""
        numbers = {name: number for number, name in enumerate(self.categories)}
        return np.array([numbers.get(c, -1) for c in read_category(self.truth, len(self))], dtype=np.int64)

    def take(self, index: np.ndarray) -> "Part":
        """Select rows by index."""
        columns, arrays, truth = (take(part, index) for part in (self.columns, self.arrays, self.truth))
        return Part(columns, arrays, truth, self.categories, take(self.facets, index))

    def labelled(self) -> "Part":
        """Return the rows that carry a label; InputError if there are none."""
        index = np.flatnonzero(self.label >= 0)
        if not len(index):
            raise InputError("no row carries a label, so there is nothing to train or to validate on")
        return self if len(index) == len(self) else self.take(index)


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
