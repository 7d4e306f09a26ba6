"""Two fits: restore hidden features, then tell attacks from normal flows, starting from the restored trunk.

Shape legend: B rows, N numeric features, C categorical features, K attack families.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.core.errors import InputError
from tocsin.core.recipe import LossSection
from tocsin.core.types import Arrays, take
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import (
    HIDDEN,
    Features,
    MaskedFeatureModel,
    build_model,
    pretrained_features,
)
from tocsin.engine.arrays import ArrayBatches, Transform
from tocsin.engine.batch import Batch
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage, StepOutput, WarmStart
from tocsin.features.tabular import MISSING, TabularEncoder
from tocsin.metrics.classification import judge, measure
from tocsin.nn.losses import (
    balanced_weights,
    loss_terms,
    sum_binary_cross_entropy,
    sum_categorical_cross_entropy,
)


def plan(context: PlanContext) -> Plan:
    """Return the stages whose length is not 0; the classifier warms up from `pretrain` where there is one."""
    stages = context.recipe.stages
    if not stages["finetune"].length.count:
        raise InputError("stages.finetune.length: the stage that makes the detector cannot be skipped")
    config = cast(IntrusionConfig, context.recipe.model)
    features = read_features(context)
    seen = pretrained_features(features, config)
    pretrains = stages["pretrain"].length.count > 0 and seen.numeric + len(seen.cardinalities) > 0
    first = (_pretraining(context, features, config),) if pretrains else ()
    init = (WarmStart("pretrain", "trunk.*"),) if pretrains else ()
    return Plan((*first, replace(_finetuning(context, features, config), init=init)))


def read_features(context: PlanContext) -> Features:
    """Return what the model must know of the arrays."""
    encoder = cast(TabularEncoder, context.encoder)
    return Features(len(encoder.numeric), encoder.cardinalities, encoder.bins)


def _pretraining(context: PlanContext, features: Features, config: IntrusionConfig) -> Stage:
    section = context.recipe.stages["pretrain"]
    mask = MaskFeatures(config.mask_share, pretrained_features(features, config).numeric)
    parts = [p for p in (context.train, context.unlabelled) if p is not None]
    rows = {name: np.concatenate([p.arrays[name] for p in parts]) for name in context.train.arrays}
    return Stage(
        "pretrain",
        RestoreTask(features, config),
        ArrayBatches(rows, {}, section.batch_size, context.seed, transform=mask),
        ArrayBatches(context.valid.arrays, {}, section.batch_size, draw="sequential", transform=mask),
        section,
    )


def _finetuning(context: PlanContext, features: Features, config: IntrusionConfig) -> Stage:
    section = context.recipe.stages["finetune"]
    train, valid = (labelled(part) for part in (context.train, context.valid))
    label_B = torch.as_tensor(train.label)
    weight_2 = balanced_weights(label_B, 2) if section.loss.class_weights == "balanced" else None
    return Stage(
        "finetune",
        DetectTask(features, config, len(context.categories), section.loss, weight_2),
        ArrayBatches(
            train.arrays,
            _targets(train),
            section.batch_size,
            context.seed,
            draw="weighted" if section.loss.sampler == "weighted" else "shuffle",
            terms=loss_terms(label_B, weight_2).numpy(),
            classes=train.label,
            transform=_augmentation(config, weight_2),
        ),
        ArrayBatches(
            valid.arrays,
            _targets(valid),
            section.batch_size,
            draw="sequential",
            terms=loss_terms(torch.as_tensor(valid.label), weight_2).numpy(),
        ),
        section,
    )


def _targets(part: Part) -> Arrays:
    return {"label": part.label, "category": part.category}


def labelled(part: Part) -> Part:
    """Return the rows that carry a label; InputError if there are none."""
    index = np.flatnonzero(part.label >= 0)
    if not len(index):
        raise InputError("no row carries a label, so there is nothing to fine-tune or to validate on")
    if len(index) == len(part):
        return part
    columns, arrays = (take(rows, index) for rows in (part.columns, part.arrays))
    return Part(columns, arrays, part.label[index], part.category[index])


@dataclass(frozen=True)
class MaskFeatures:
    """Hides each present cell with a probability of `share`; what was there becomes the target.

    Source: Devlin et al. 2019, "BERT", section 3.1, on cells in place of words; always hidden, never swapped.
    """

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
        # A swap between equal cells changes nothing, and an unchanged row is no attack.
        changed_B = torch.stack([(inputs[name] != batch.inputs[name]).any(1) for name in inputs]).any(0)
        label_B = label_B.masked_fill(changed_B, 1)
        targets = {"label": label_B, "category": category_B.masked_fill(changed_B, -1)}
        return Batch(inputs, targets, loss_terms(label_B, self.weight_2))


@dataclass(frozen=True)
class Chain:
    """Several transforms, one after the other."""

    transforms: tuple[Transform, ...]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Apply each to the result of the one before."""
        for transform in self.transforms:
            batch = transform(batch, generator)
        return batch


def _augmentation(config: IntrusionConfig, weight_2: Tensor | None) -> Transform | None:
    mix = MixOutliers(config.outlier_share, config.outlier_cells, weight_2) if config.outlier_share else None
    hide = HideFeatures(config.hide_share) if config.hide_share else None
    found = tuple(t for t in (mix, hide) if t is not None)
    return Chain(found) if found else None


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


@dataclass(frozen=True)
class RestoreTask:
    """Masked-feature pretraining: Huber loss for hidden numbers, cross-entropy for hidden classes."""

    features: Features
    config: IntrusionConfig

    def build(self) -> nn.Module:
        """Return the masked-feature model."""
        return MaskedFeatureModel(self.features, self.config)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum over the hidden cells only."""
        outputs = model(**inputs)
        numeric_BN, classes_BS = outputs["numeric"].float(), outputs["classes"]
        n = numeric_BN.shape[1]
        error_BN = F.huber_loss(numeric_BN, targets["numeric"][:, :n], reduction="none")
        loss_sum = torch.where(targets["numeric_mask"][:, :n], error_BN, 0.0).sum()
        logits = classes_BS.split(self.features.cardinalities, dim=1) if self.features.cardinalities else ()
        for j, logit_BS in enumerate(logits):
            hidden_B, id_B = targets["categorical_mask"][:, j], targets["categorical"][:, j]
            loss_sum = loss_sum + sum_categorical_cross_entropy(logit_BS, id_B, mask_B=hidden_B)
        return StepOutput(loss_sum, outputs)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow the mean loss over the hidden cells, and say how many classes were restored exactly."""
        metrics = {"loss": loss}
        if targets["categorical_mask"].any():
            metrics["restored_classes"] = self._restored(scores["classes"], targets)
        return Report(-loss, metrics)

    def _restored(self, classes_BS: np.ndarray, targets: Arrays) -> float:
        parts = np.split(classes_BS, np.cumsum(self.features.cardinalities)[:-1], axis=1)
        guess_BC = np.stack([part.argmax(1) for part in parts], axis=1)
        return float((guess_BC == targets["categorical"])[targets["categorical_mask"]].mean())


@dataclass(frozen=True)
class DetectTask:
    """Attack or normal, and beside it the family of an attack where that is known."""

    features: Features
    config: IntrusionConfig
    families: int
    loss: LossSection
    weight_2: Tensor | None = None

    def build(self) -> nn.Module:
        """Return the classifier of the recipe's architecture."""
        return build_model(self.features, self.config, self.families)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum over rows: binary loss, plus `category_weight` times the cross-entropy of the family."""
        outputs = model(**inputs)
        how: dict[str, Any] = {"gamma": self.loss.focal_gamma, "smoothing": self.loss.label_smoothing}
        loss_sum = sum_binary_cross_entropy(outputs["logit"], targets["label"], weight_2=self.weight_2, **how)
        if self.families and self.config.category_weight:
            family = sum_categorical_cross_entropy(outputs["category"], targets["category"], **how)
            loss_sum = loss_sum + self.config.category_weight * family
        return StepOutput(loss_sum, outputs)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow ROC-AUC, every family counting alike; the negative loss where a class is missing."""
        label, probability = targets["label"], 1 / (1 + np.exp(-scores["logit"].astype(np.float64)))
        found = measure(judge(label, probability, 0.5))
        metrics = {"loss": loss} | {n: found[n] for n in ("roc_auc", "pr_auc", "f1", "recall_at_fpr_0.01")}
        if not 0 < label.sum() < len(label):
            return Report(-loss, metrics)
        families = np.unique(targets["category"][label == 1])
        sides = [(label == 0) | (targets["category"] == c) for c in families]
        aucs = [measure(judge(label[side], probability[side], 0.5))["roc_auc"] for side in sides]
        metrics["roc_auc_over_families"] = float(np.mean(aucs))
        return Report(metrics["roc_auc_over_families"], metrics)
