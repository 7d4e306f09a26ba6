"""What is drawn for every batch: masks to restore, features to do without, attacks made of normal rows.

Everything comes from the generator that is handed in, which comes from (seed, epoch, place).

Shape legend: B rows, N numeric features, C categorical features, F = N + C.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from tocsin.core.promise import Promise, join_promises, promised
from tocsin.detectors.intrusion.model import HIDDEN
from tocsin.engine.arrays import Transform
from tocsin.engine.batch import Batch
from tocsin.features.tabular import MISSING
from tocsin.nn.losses import loss_terms

NOTICEABLE = 0.3
"""In scaled units: a row whose numbers all changed by less, and whose classes stayed, is still normal."""


@dataclass(frozen=True)
class MaskFeatures:
    """Hides each present cell with a probability of `share`; what was there becomes the target.

    Source: Devlin et al. 2019, "BERT", section 3.1, on cells in place of words; always hidden, never swapped.
    """

    promise: ClassVar[Promise] = Promise(labels="kept", spans="none")
    share: float
    numeric: int
    """How many numeric features the trunk sees: 0 for the TabTransformer."""

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return targets `numeric`, `categorical` and a mask for each; every hidden cell is a term."""
        state_BN, ids_BC = batch.inputs["state"], batch.inputs["categorical"]
        hide_BN = _draw(state_BN, self.share, generator) & (state_BN == 0)
        hide_BN[:, self.numeric :] = False
        hide_BC = _draw(ids_BC, self.share, generator) & (ids_BC != MISSING)
        targets = {
            "numeric": batch.inputs["numeric"],
            "numeric_mask": hide_BN,
            "categorical": ids_BC,
            "categorical_mask": hide_BC,
        }
        terms_B = hide_BN.sum(1) + hide_BC.sum(1)
        return Batch(_hide(batch.inputs, hide_BN, hide_BC), targets, terms_B.double())


@dataclass(frozen=True)
class HideFeatures:
    """Hides cells of training rows as augmentation, so that no single feature is all that a verdict rests on.

    Each row draws its own share between 0 and twice `share`.
    """

    promise: ClassVar[Promise] = Promise(labels="kept", spans="none")
    share: float

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with some features hidden; targets and terms stay."""
        state_BN, ids_BC = batch.inputs["state"], batch.inputs["categorical"]
        share_B1 = 2 * self.share * torch.rand(len(batch), 1, generator=generator)
        hide_BN, hide_BC = (_draw(cells, share_B1, generator) for cells in (state_BN, ids_BC))
        return replace(batch, inputs=_hide(batch.inputs, hide_BN, hide_BC))


@dataclass(frozen=True)
class MixOutliers:
    """Makes attacks of a share of the normal rows: some of their cells come from other rows of the batch.

    Each cell alone is plausible, the row as a whole is not. So the classifier learns how normal cells go
    together, not only how the attacks of the training set look, and has a score for attacks of new kinds.
    Source: outlier exposure (Hendrycks et al. 2019, "Deep Anomaly Detection with Outlier Exposure"), with
    outliers made as in Shi and Horvath 2006, "Unsupervised Learning with Random Forest Predictors".
    """

    promise: ClassVar[Promise] = Promise(labels="remade", spans="none")
    share: float
    cells: float
    """Each outlier draws the share of its cells that change between 0 and this."""
    weight_2: Tensor | None = None

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with made attacks, whose family is unknown; the terms follow the new labels."""
        if not len(batch):
            return batch
        label_B, category_B = batch.targets["label"], batch.targets["category"]
        made_B = (label_B == 0) & (torch.rand(len(batch), generator=generator) < self.share)
        share_B1 = self.cells * torch.rand(len(batch), 1, generator=generator) * made_B[:, None]
        n = batch.inputs["numeric"].shape[1]
        shape = torch.empty(len(batch), n + batch.inputs["categorical"].shape[1])
        swap_BF = _draw(shape, share_B1, generator)
        donor_BF = torch.randint(len(batch), shape.shape, generator=generator)
        inputs = {
            "numeric": _swap(batch.inputs["numeric"], swap_BF[:, :n], donor_BF[:, :n]),
            "state": _swap(batch.inputs["state"], swap_BF[:, :n], donor_BF[:, :n]),
            "categorical": _swap(batch.inputs["categorical"], swap_BF[:, n:], donor_BF[:, n:]),
        }
        changed_B = made_B & _differ(batch.inputs, inputs)
        label_B = label_B.masked_fill(changed_B, 1)
        targets = {"label": label_B, "category": category_B.masked_fill(changed_B, -1)}
        return Batch(inputs, targets, loss_terms(label_B, self.weight_2))


@dataclass(frozen=True)
class Chain:
    """Several transforms, one after the other."""

    transforms: tuple[Transform, ...]

    @cached_property
    def promise(self) -> Promise:
        """What all of them promise together."""
        return join_promises(promised(transform) for transform in self.transforms)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Apply each to the result of the one before."""
        for transform in self.transforms:
            batch = transform(batch, generator)
        return batch


def _draw(like: Tensor, share: float | Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator) < share


def _hide(inputs: dict[str, Tensor], hide_BN: Tensor, hide_BC: Tensor) -> dict[str, Tensor]:
    return {
        "numeric": inputs["numeric"].masked_fill(hide_BN, 0.0),
        "state": inputs["state"].masked_fill(hide_BN, HIDDEN),
        "categorical": inputs["categorical"].masked_fill(hide_BC, HIDDEN),
    }


def _swap(cells_BF: Tensor, swap_BF: Tensor, donor_BF: Tensor) -> Tensor:
    return torch.where(swap_BF, cells_BF.gather(0, donor_BF), cells_BF)


def _differ(before: dict[str, Tensor], after: dict[str, Tensor]) -> Tensor:
    """Return [B], whether a row differs noticeably; most swaps in a column of zeros change nothing."""
    numbers_BN = (after["numeric"] - before["numeric"]).abs() > NOTICEABLE
    other_BF = [after[name] != before[name] for name in ("state", "categorical")]
    return torch.cat([numbers_BN, *other_BF], dim=1).any(1)
