"""Batches that know what their loss sums over before the forward pass.

Shape legend: B rows of a batch, N rows of a table.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tocsin.core.promise import Promise

ROW = "row"
"""Target that says which row of its side each row of a batch is, int64 [B]: `part.row`. Cross-fitting goes by it."""


@dataclass(frozen=True)
class Batch:
    """Named tensors, row axis first, and how many loss terms each row brings."""

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    terms_B: Tensor
    """float64 [B]: terms of the loss sum per row (1 per row, masked cells, summed class weights, ...)."""

    @property
    def count(self) -> float:
        """What the sum of the loss is divided by, together with the other batches of the step."""
        return float(self.terms_B.sum())

    def __len__(self) -> int:
        return len(self.terms_B)

    def slice(self, start: int, stop: int) -> "Batch":
        """Return the rows [start, stop)."""
        return Batch(
            {k: v[start:stop] for k, v in self.inputs.items()},
            {k: v[start:stop] for k, v in self.targets.items()},
            self.terms_B[start:stop],
        )

    def to(self, device: torch.device) -> "Batch":
        """Move to a device; the terms stay where they are, since only their sum is used."""
        return Batch(
            {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            {k: v.to(device, non_blocking=True) for k, v in self.targets.items()},
            self.terms_B,
        )


class BatchSource(Protocol):
    """Sized and indexable by step: order and resume are arithmetic.

    `len` is the number of batches in one epoch. Index `i` is batch `i % len` of epoch `i // len`,
    and whatever is random about it (order, masks, augmentation) is drawn from (seed, epoch, row),
    so that the same index gives the same batch in every process and after every resume.
    """

    @property
    def promise(self) -> Promise | None:
        """What is promised of the rows where they are augmented; None where they stand as they were encoded."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...
