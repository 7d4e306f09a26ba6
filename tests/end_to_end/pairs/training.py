"""One fit: does the text meet the criterion, and where."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from tocsin.core.axes import Axes, Axis
from tocsin.core.heads import LOGIT, Head
from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.decisions import Decide, decision_targets
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage, StepOutput
from tocsin.nn.losses import sum_binary_cross_entropy

from .decode import SPANS
from .encode import PLACES, mark_spans, read_spans
from .model import PairNet

READ = ("words", "segment", "length")
"""The arrays that the network reads; where words stand is for the decoder."""


@dataclass(frozen=True)
class PairTask(Decide):
    """A verdict, and where each passage starts and ends."""

    size: int
    width: int
    heads: ClassVar[tuple[Head, ...]] = (LOGIT, Head(SPANS, "span", (PLACES, 2)))
    target_axes: ClassVar[Axes] = {SPANS: (Axis("places", "length", pad=-1), 2)}

    def build(self) -> nn.Module:
        return PairNet(self.size, self.width)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        verdict = super().step(model, inputs, targets)
        mark = targets[SPANS]
        spans = sum_binary_cross_entropy(verdict.scores[SPANS], mark, mask_B=mark >= 0)
        return StepOutput(verdict.loss_sum + spans, verdict.scores)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        found, wanted = (scores[SPANS] > 0) & (targets[SPANS] >= 0), targets[SPANS] == 1
        accuracy = self.measure(scores, targets)["accuracy"]
        return Report(-loss, {"accuracy": accuracy, "span_f1": span_f1(found, wanted)})


def span_f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return F1 of spans with both ends right, of edges found and wanted, bool [N, L, 2] each."""
    pairs = [(set(read_spans(f)), set(read_spans(w))) for f, w in zip(found, wanted, strict=True)]
    hits, total = sum(len(f & w) for f, w in pairs), sum(len(f) + len(w) for f, w in pairs)
    return 2 * hits / total if total else 1.0


def plan(context: PlanContext) -> Plan:
    """One stage; each batch is as long as its longest pair."""
    section, encoder = context.recipe.stages["fit"], context.encoder

    def batches(part: Part, draw: str) -> ArrayBatches:
        inputs = {name: part.arrays[name] for name in READ}
        targets = decision_targets(part) | {SPANS: mark_spans(part.truth[SPANS], part.arrays["characters"])}
        how = {"axes": encoder.axes, "target_axes": PairTask.target_axes, "draw": draw}
        return ArrayBatches(inputs, targets, section.batch_size, context.seed, **how)

    corrections = make_corrections(section.loss, context.train.label, 2)
    task = PairTask(0, 0.0, corrections, encoder.size, context.recipe.model.width)
    train, valid = batches(context.train, "shuffle"), batches(context.valid, "sequential")
    return Plan((Stage("fit", task, train, valid, section),))
