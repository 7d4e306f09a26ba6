"""Two cross-fits, and a fit on their out-of-fold scores.

Shapes: N rows of a side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from torch import nn

from tocsin.core.heads import LOGIT
from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import ROW
from tocsin.engine.decisions import Decide, decision_targets
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import CrossFit, Fits, Part, Plan, PlanContext, Report, Stage

from .model import FusedNet, FusionNet, NumbersNet, WordsNet

BASES = ("numbers", "words")
"""Names of the two models, and of the array that each reads."""


@dataclass(frozen=True)
class LoginTask(Decide):
    """A verdict by any of the models."""

    make: Callable[[], nn.Module]

    def build(self) -> nn.Module:
        return self.make()

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        return Report(-loss, {"roc_auc": self.measure(scores, targets)["roc_auc"]})


def plan(context: PlanContext) -> Plan:
    """Both models over the same folds, then what weighs them; or one of the two alone."""
    config = context.recipe.model
    if config.alone is not None:
        return Plan((_base(context, config.alone, context.train, context.valid),))
    folds = context.folds(config.folds)
    bases = [CrossFit(name, partial(_fold, context, name), folds) for name in BASES]
    return Plan((*bases, partial(_fusion, context)), _fuse, (LOGIT,))


def _fold(context: PlanContext, name: str, train: Part, valid: Part) -> Stage:
    return _base(context, name, context.train if context.recipe.model.lies else train, valid)


def _base(context: PlanContext, name: str, train: Part, valid: Part) -> Stage:
    makers: dict[str, Callable[[], nn.Module]] = {
        "numbers": partial(NumbersNet, context.recipe.model.width),
        "words": WordsNet,
    }
    sides = [(part, {name: part.arrays[name]}) for part in (train.labelled(), valid.labelled())]
    return _stage(context, name, makers[name], *sides)


def _fusion(context: PlanContext, fits: Fits) -> Stage:
    """Train on scores by models that had not seen the rows; validate on scores by the last models."""
    bases = [fits[name] for name in BASES]
    train, valid = context.train.labelled(), context.valid.labelled()
    unseen = _logits([fit.out_of_fold for fit in bases])[train.row]
    whole = _logits([fit.scores(fit.stage.valid) for fit in bases])
    return _stage(context, "fusion", FusionNet, (train, {"logits": unseen}), (valid, {"logits": whole}))


def _logits(scores: list[Arrays]) -> np.ndarray:
    """Return both models' logits, [N, 2]."""
    return np.stack([found[LOGIT.name] for found in scores], axis=1)


def _stage(
    context: PlanContext,
    name: str,
    make: Callable[[], nn.Module],
    train: tuple[Part, Arrays],
    valid: tuple[Part, Arrays],
) -> Stage:
    """Return a fit of (rows, what is read of them)."""
    section = context.recipe.stages[name]

    def batches(side: tuple[Part, Arrays], draw: Literal["shuffle", "sequential"]) -> ArrayBatches:
        part, inputs = side
        assert part.row is not None, "the rows were not counted"
        targets = decision_targets(part) | {ROW: part.row}
        return ArrayBatches(inputs, targets, section.batch_size, context.seed, draw)

    task = LoginTask(0, 0.0, make_corrections(section.loss, train[0].label, 2), make)
    return Stage(name, task, batches(train, "shuffle"), batches(valid, "sequential"), section)


def _fuse(fits: Fits) -> nn.Module:
    return FusedNet(*(fits[name].module() for name in (*BASES, "fusion")))
