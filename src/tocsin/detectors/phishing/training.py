"""One fit: phishing or legitimate, and beside it the kind of a positive.

Shape legend: B rows, K kinds.
"""

from dataclasses import dataclass
from typing import cast

import structlog
from torch import nn

from tocsin.core.errors import InputError
from tocsin.core.recipe import OptimSection
from tocsin.core.types import Arrays
from tocsin.detectors.phishing.augmentation import MessageBatches
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.encode import MessageEncoder
from tocsin.detectors.phishing.features.shape import SHAPE
from tocsin.detectors.phishing.model import build_model
from tocsin.engine.decisions import Decide
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage

log = structlog.get_logger(__name__)


def plan(context: PlanContext) -> Plan:
    """Return the one stage; InputError for a length of 0 or rows without labels."""
    section = context.recipe.stages["fit"]
    if not section.length.count:
        raise InputError("stages.fit.length: the stage that makes the detector cannot be skipped")
    config, encoder = cast(PhishingConfig, context.recipe.model), cast(MessageEncoder, context.encoder)
    _advise(config, section.optim)
    train, valid = context.train.labelled(), context.valid.labelled()
    corrections = make_corrections(section.loss, train.label, 2)
    task = DetectTask(len(context.categories), config.category_weight, corrections, config, encoder.size)

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


@dataclass(frozen=True)
class DetectTask(Decide):
    """Phishing or legitimate, and the kind of a positive where that is known."""

    config: PhishingConfig
    vocabulary: int

    def build(self) -> nn.Module:
        """Return the network of the recipe."""
        return build_model(self.config, self.vocabulary, len(SHAPE), self.kinds)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow ROC-AUC; the negative loss where a class is missing."""
        label, found = targets["label"], self.measure(scores, targets)
        metrics = {"loss": loss} | {
            n: found[n] for n in ("roc_auc", "pr_auc", "f1_macro", "recall_at_fpr_0.01")
        }
        return Report(found["roc_auc"] if 0 < label.sum() < len(label) else -loss, metrics)
