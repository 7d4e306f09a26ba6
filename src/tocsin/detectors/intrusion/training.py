"""Two fits: restore hidden features, then tell attacks from normal flows, starting from the restored trunk.

Shape legend: B rows, N numeric features, C categorical features, K attack families.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.core.axes import Axes
from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.types import Arrays
from tocsin.detectors.intrusion.augmentation import Chain, HideFeatures, MaskFeatures, MixOutliers
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import (
    Features,
    MaskedFeatureModel,
    build_model,
    pretrained_features,
)
from tocsin.engine.arrays import ArrayBatches, Transform
from tocsin.engine.decisions import KINDS, Decide, decision_targets, decision_terms
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Plan, PlanContext, Report, Stage, StepOutput, WarmStart
from tocsin.features.tabular import TabularEncoder
from tocsin.nn.losses import sum_categorical_cross_entropy


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
    train, valid = context.train.labelled(), context.valid.labelled()
    corrections = make_corrections(section.loss, train.label, 2)
    return Stage(
        "finetune",
        DetectTask(len(context.categories), config.category_weight, corrections, features, config),
        ArrayBatches(
            train.arrays,
            decision_targets(train),
            section.batch_size,
            context.seed,
            draw=corrections.draw,
            terms=decision_terms(train, corrections),
            classes=train.label,
            transform=_augmentation(config, corrections.weight_K),
        ),
        ArrayBatches(
            valid.arrays,
            decision_targets(valid),
            section.batch_size,
            draw="sequential",
            terms=decision_terms(valid, corrections),
        ),
        section,
    )


def _augmentation(config: IntrusionConfig, weight_2: Tensor | None) -> Transform | None:
    mix = MixOutliers(config.outlier_share, config.outlier_cells, weight_2) if config.outlier_share else None
    hide = HideFeatures(config.hide_share) if config.hide_share else None
    found = tuple(t for t in (mix, hide) if t is not None)
    return Chain(found) if found else None


@dataclass(frozen=True)
class RestoreTask:
    """Masked-feature pretraining: Huber loss for hidden numbers, cross-entropy for hidden classes."""

    heads: ClassVar[tuple[Head, ...]] = ()
    target_axes: ClassVar[Axes] = {}
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
class DetectTask(Decide):
    """Attack or normal, and beside it the family of an attack where that is known."""

    features: Features
    config: IntrusionConfig

    def build(self) -> nn.Module:
        """Return the classifier of the recipe's architecture."""
        return build_model(self.features, self.config, self.kinds)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow ROC-AUC, every family counting alike; the negative loss where a class is missing."""
        label, family = targets["label"], targets[KINDS]
        found = self.measure(scores, targets)
        metrics = {"loss": loss} | {n: found[n] for n in ("roc_auc", "pr_auc", "f1", "recall_at_fpr_0.01")}
        if not 0 < label.sum() < len(label):
            return Report(-loss, metrics)
        sides = [(label == 0) | (family == c) for c in np.unique(family[label == 1])]
        aucs = [self.measure(scores, targets, side)["roc_auc"] for side in sides]
        metrics["roc_auc_over_families"] = float(np.mean(aucs))
        return Report(metrics["roc_auc_over_families"], metrics)
