"""Batches of arrays that lie in memory: one gather per tensor, no per-row work.

Shape legend: B rows of a batch, N rows of the table, C classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tocsin.core.axes import Axes, cut
from tocsin.core.errors import InputError
from tocsin.core.promise import Promise, promised
from tocsin.core.types import Arrays
from tocsin.engine.batch import Batch
from tocsin.engine.generators import make_generator

Transform = Callable[[Batch, torch.Generator], Batch]
"""Masks or augments one batch; draws only from the generator it is given, made from (seed, epoch, index).

It has a `promise` about labels and spans (`core/promise.py`), or no batch is made with it.
"""


@dataclass
class ArrayBatches:
    """A BatchSource over arrays; the last batch of an epoch may be smaller.

    `draw` is `shuffle` (every row once an epoch), `sequential` (rows as they stand, for evaluation) or
    `weighted` (N draws with replacement, every class of `classes` equally likely, classes below 0 never).
    `terms` says what each row adds to the count of the loss, one by default. Where rows differ in size, `axes` of the
    inputs and `target_axes` cut each batch to its longest row, whose size stands among the inputs.
    """

    inputs: Arrays
    targets: Arrays
    batch_size: int
    seed: int = 0
    draw: Literal["shuffle", "weighted", "sequential"] = "shuffle"
    terms: np.ndarray | None = None
    """[N] or None for one term a row."""
    classes: np.ndarray | None = None
    """[N] integers: what `weighted` balances."""
    transform: Transform | None = None
    axes: Axes = field(default_factory=dict)
    target_axes: Axes = field(default_factory=dict)
    _order: tuple[int, Tensor] | None = field(default=None, init=False, repr=False)

    @property
    def promise(self) -> Promise | None:
        """What is promised of augmented rows; None where rows stand as they are."""
        return None if self.transform is None else promised(self.transform)

    def __post_init__(self) -> None:
        _ = self.promise  # refused before anything is trained
        self._rows = _common_rows({**self.inputs, **{f"target {k}": v for k, v in self.targets.items()}})
        terms = np.ones(self._rows) if self.terms is None else self.terms
        self._whole = Batch(
            {name: _to_tensor(values) for name, values in self.inputs.items()},
            {name: _to_tensor(values) for name, values in self.targets.items()},
            _to_tensor(np.asarray(terms, dtype=np.float64)),
        )
        self._by_class = _rows_by_class(self.classes) if self.draw == "weighted" else []

    def __len__(self) -> int:
        return math.ceil(self._rows / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        epoch, place = divmod(index, len(self))
        batch = self._cut(self._gather(epoch, place * self.batch_size))
        if self.transform is None:
            return batch
        return self.transform(batch, make_generator(self.seed, epoch, place))

    def _gather(self, epoch: int, start: int) -> Batch:
        whole, stop = self._whole, min(start + self.batch_size, self._rows)
        if self.draw == "sequential":
            return whole.slice(start, stop)
        index_B = self._order_of(epoch)[start:stop]
        return Batch(
            {name: values.index_select(0, index_B) for name, values in whole.inputs.items()},
            {name: values.index_select(0, index_B) for name, values in whole.targets.items()},
            whole.terms_B.index_select(0, index_B),
        )

    def _cut(self, batch: Batch) -> Batch:
        if not self.axes and not self.target_axes:
            return batch
        inputs, targets = ({k: v.numpy() for k, v in side.items()} for side in (batch.inputs, batch.targets))
        found = cut(inputs, self.axes), cut(targets, self.target_axes, inputs)
        cut_inputs, cut_targets = ({k: torch.from_numpy(v) for k, v in side.items()} for side in found)
        return Batch(cut_inputs, cut_targets, batch.terms_B)

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            generator = make_generator(self.seed, epoch)
            if self.draw == "weighted":
                order_N = _draw_balanced(self._by_class, self._rows, generator)
            else:
                order_N = torch.randperm(self._rows, generator=generator)
            self._order = (epoch, order_N)
        return self._order[1]


def _draw_balanced(by_class: list[Tensor], rows: int, generator: torch.Generator) -> Tensor:
    """Draw a class, then a row of it; torch.multinomial would stop at 2^24 rows."""
    sizes_C = torch.tensor([len(members) for members in by_class])
    class_N = torch.randint(len(by_class), (rows,), generator=generator)
    place_N = (torch.rand(rows, generator=generator, dtype=torch.float64) * sizes_C[class_N]).long()
    return torch.cat(by_class)[(sizes_C.cumsum(0) - sizes_C)[class_N] + place_N]


def _rows_by_class(classes: np.ndarray | None) -> list[Tensor]:
    if classes is None:
        raise InputError("weighted batches need the class of every row")
    found = [torch.from_numpy(np.flatnonzero(classes == c)) for c in np.unique(classes) if c >= 0]
    if not found:
        raise InputError("weighted batches need at least one row with a class")
    return found


def _common_rows(arrays: Arrays) -> int:
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"arrays must have equally many rows, found {lengths}")
    rows = next(iter(lengths.values()))
    if not rows:
        raise InputError("there are no rows to make batches of")
    return rows


def _to_tensor(values: np.ndarray) -> Tensor:
    # torch shares memory with numpy, and warns where numpy forbids writing.
    values = np.ascontiguousarray(values)
    return torch.from_numpy(values if values.flags.writeable else values.copy())
