"""One fit: phishing or legitimate, and beside it the kind of a positive.

Shape legend: B rows, K kinds.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import structlog
from torch import Tensor, nn

from tocsin.core.errors import InputError
from tocsin.core.recipe import OptimSection
from tocsin.core.types import Arrays, take
from tocsin.detectors.phishing.augmentation import MessageBatches
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.model import build_model
from tocsin.engine.optim import Corrections, make_corrections
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage, StepOutput
from tocsin.features.text import SHAPE, TextEncoder
from tocsin.metrics.classification import judge, measure
from tocsin.nn.losses import sum_binary_cross_entropy, sum_categorical_cross_entropy

log = structlog.get_logger(__name__)


def plan(context: PlanContext) -> Plan:
    """Return the one stage; InputError for a length of 0 or rows without labels."""
    section = context.recipe.stages["fit"]
    if not section.length.count:
        raise InputError("stages.fit.length: the stage that makes the detector cannot be skipped")
    config, encoder = cast(PhishingConfig, context.recipe.model), cast(TextEncoder, context.encoder)
    _advise(config, section.optim)
    train, valid = labelled(context.train), labelled(context.valid)
    corrections = make_corrections(section.loss, train.label, 2)
    task = DetectTask(config, encoder.size, len(context.categories), corrections)

    def batches(part: Part, training: bool) -> MessageBatches:
        how = (section.batch_size, encoder, config, context.seed, training)
        return MessageBatches(part, *how, corrections.weight_K)

    return Plan((Stage("fit", task, batches(train, True), batches(valid, False), section),))


def _advise(config: PhishingConfig, optim: OptimSection) -> None:
    """Warn where a pretrained encoder would learn as fast as its new head, and so forget what it knows."""
    if config.architecture == "pretrained" and not any(name.startswith("trunk.") for name in optim.groups):
        log.warning(
            "the pretrained encoder learns at the rate of its head",
            hint="stages.fit.optim.groups: {trunk.encoder.*: {learning_rate_scale: 0.02}}; a scale of 0 freezes it",
        )


def labelled(part: Part) -> Part:
    """Return the rows that carry a label; InputError if there are none."""
    index = np.flatnonzero(part.label >= 0)
    if not len(index):
        raise InputError("no row carries a label, so there is nothing to train or to validate on")
    columns, arrays, facets = (take(rows, index) for rows in (part.columns, part.arrays, part.facets))
    return Part(columns, arrays, part.label[index], part.category[index], facets)


@dataclass(frozen=True)
class DetectTask:
    """Phishing or legitimate, and the kind of a positive where that is known."""

    config: PhishingConfig
    vocabulary: int
    kinds: int
    corrections: Corrections

    def build(self) -> nn.Module:
        """Return the network of the recipe."""
        return build_model(self.config, self.vocabulary, len(SHAPE), self.kinds)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum over rows: binary loss, plus `category_weight` times the cross-entropy of the kind."""
        outputs, weight_2 = model(**inputs), self.corrections.weight_K
        how: dict[str, Any] = {"gamma": self.corrections.gamma, "smoothing": self.corrections.smoothing}
        loss_sum = sum_binary_cross_entropy(outputs["logit"], targets["label"], weight_2=weight_2, **how)
        if self.kinds and self.config.category_weight:
            kind = sum_categorical_cross_entropy(outputs["category"], targets["category"], **how)
            loss_sum = loss_sum + self.config.category_weight * kind
        return StepOutput(loss_sum, outputs)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow ROC-AUC; the negative loss where a class is missing."""
        label, logit = targets["label"], scores["logit"].astype(np.float64)
        found = measure(judge(label, np.exp(-np.logaddexp(0.0, -logit)), 0.5))
        metrics = {"loss": loss} | {
            n: found[n] for n in ("roc_auc", "pr_auc", "f1_macro", "recall_at_fpr_0.01")
        }
        return Report(found["roc_auc"] if 0 < label.sum() < len(label) else -loss, metrics)
