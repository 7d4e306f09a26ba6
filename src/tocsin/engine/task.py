"""What a stage optimises, and the graph of fits that makes a detector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from tocsin.core.axes import Axes
from tocsin.core.encoder import Encoder
from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.promise import Promise
from tocsin.core.recipe import Recipe, StageSection
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, Files, rows, take
from tocsin.data.dataset import read_category, read_label
from tocsin.data.fingerprint import row_keys
from tocsin.data.folds import Clustered, make_folds
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
    """One fit; InputError for training batches that do not say whether they are augmented."""

    name: str
    task: Task
    train: BatchSource
    valid: BatchSource
    section: StageSection
    init: tuple[WarmStart, ...] = ()
    adapters_only: bool = False
    """Leave frozen parameters out of all files: `build` makes them again, such as a base under LoRA."""

    def __post_init__(self) -> None:
        if not hasattr(self.train, "promise"):
            raise InputError(
                f"stage {self.name!r}: its training batches do not say whether they augment their rows:"
                " give them a `promise`, None where they do not"
            )

    @property
    def promise(self) -> Promise | None:
        """What is promised of the training rows where they are augmented; None where they are not."""
        return self.train.promise


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
    row: np.ndarray | None = None
    """[N] int64: which row of its side each one is; None where nobody has counted."""

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
        row = None if self.row is None else self.row[index]
        return Part(columns, arrays, truth, self.categories, take(self.facets, index), row)

    def labelled(self) -> "Part":
        """Return the rows that carry a label; InputError if there are none."""
        index = np.flatnonzero(self.label >= 0)
        if not len(index):
            raise InputError("no row carries a label, so there is nothing to train or to validate on")
        return self if len(index) == len(self) else self.take(index)


class Fit(Protocol):
    """A fit that is done, for the steps that are made of it."""

    @property
    def stage(self) -> Stage:
        """Return what was fitted; of a CrossFit, the last fit, on all training rows."""
        ...

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Return the best weights."""
        ...

    @property
    def report(self) -> Report:
        """Return the best evaluation, on the validation rows."""
        ...

    @property
    def out_of_fold(self) -> Arrays:
        """Return each training row's scores by the model that has not seen it, [N, ...]; NaN where it has none.

        InputError for a fit that was not cross-fitted.
        """
        ...

    def module(self) -> nn.Module:
        """Make the model with its best weights."""
        ...

    def scores(self, source: BatchSource) -> Arrays:
        """Return the model's scores for all rows of a source, in its order; every process must ask."""
        ...


Fits = Mapping[str, Fit]
"""Name of a step -> its fit."""


@dataclass(frozen=True)
class CrossFit:
    """One fit a fold, each of which scores the rows that it has not seen, and a last one on all training rows.

    Example: `CrossFit("flows", make, context.folds(5))` with
    `make = lambda train, valid: Stage("flows", task, batches(train), batches(valid), section)`.
    """

    name: str
    make: Callable[[Part, Part], Stage]
    """(rows to train on, rows to score) -> a stage that starts from its seed, with ROW among its targets.

    It is asked for each fold with the other rows and the validation rows, which choose the best weights; then with
    the rows of the fold in place of the validation rows, to score them."""
    folds: np.ndarray
    """[N training rows] number of each row's fold; a cluster is never in two."""


Step = Stage | CrossFit | Callable[[Fits], Stage]
"""A fit; or folds of one; or one that is made of the fits before it."""


@dataclass(frozen=True)
class Plan:
    """The fits of a detector in their order, and what is packaged.

    Example: `Plan((pretrain, finetune))` packages the model of `finetune`.
    """

    steps: tuple[Step, ...]
    package: Callable[[Fits], nn.Module | Files] | None = None
    """Makes what is packaged: a module, which may join several, or files such as adapters; None takes the last model.

    A module's forward names the arrays that it reads, and returns its heads by name."""
    heads: tuple[Head, ...] | None = None
    """The heads of what is packaged; None takes those of the last fit's task."""


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
    cluster: np.ndarray | None = None
    """[N training rows] int64: near-duplicates, and rows of one declared group, share a cluster."""

    def folds(self, count: int) -> np.ndarray:
        """Return the fold of each training row, int64 [N]: whole clusters, labels and kinds in equal parts.

        The same rows and seed give the same folds, in whatever order the rows come.
        """
        assert self.cluster is not None, "the rows were not clustered"
        cluster = np.unique(self.cluster, return_inverse=True)[1]
        stratum = (self.train.label + 1) * (len(self.categories) + 1) + self.train.category + 1
        return make_folds(Clustered(cluster, stratum, row_keys(self.train.columns)), count, self.seed)
