"""One fit: does a value flow from source to sink, and over which nodes."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tocsin.core.axes import Axes, Axis
from tocsin.core.heads import LOGIT, Head
from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.decisions import Decide, decision_targets
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage, StepOutput
from tocsin.nn.losses import sum_binary_cross_entropy

from .config import GraphConfig
from .decode import PATH
from .encode import NODE_AXIS, mark_paths
from .model import GraphNet

PATH_WEIGHT = 0.2
"""Weight of a node's loss beside that of the verdict."""


@dataclass(frozen=True)
class GraphTask(Decide):
    """A verdict, and a mark for each node of the path."""

    config: GraphConfig
    heads: ClassVar[tuple[Head, ...]] = (LOGIT, Head(PATH, "tokens", (NODE_AXIS,)))
    target_axes: ClassVar[Axes] = {PATH: (Axis("nodes", "node_count", pad=-1),)}

    def build(self) -> nn.Module:
        return GraphNet(self.config)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        verdict = super().step(model, inputs, targets)
        mark = targets[PATH]
        path = sum_binary_cross_entropy(verdict.scores[PATH], mark, mask_B=mark >= 0)
        return StepOutput(verdict.loss_sum + PATH_WEIGHT * path, verdict.scores)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        found, wanted = scores[PATH] > 0, targets[PATH] == 1
        hits = int((found & wanted).sum())
        nodes = int((found & (targets[PATH] >= 0)).sum() + wanted.sum())
        metrics = {"accuracy": self.measure(scores, targets)["accuracy"], "path_f1": 2 * hits / max(nodes, 1)}
        return Report(-loss, metrics)


def plan(context: PlanContext) -> Plan:
    """One stage; each batch is as wide as its largest graph."""
    section, axes = context.recipe.stages["fit"], context.encoder.axes

    def batches(part: Part, draw: str) -> ArrayBatches:
        marks = mark_paths(part.truth[PATH], part.arrays["node_count"])
        targets = decision_targets(part) | {PATH: marks}
        how = {"axes": axes, "target_axes": GraphTask.target_axes, "draw": draw}
        return ArrayBatches(part.arrays, targets, section.batch_size, context.seed, **how)

    corrections = make_corrections(section.loss, context.train.label, 2)
    task = GraphTask(0, 0.0, corrections, context.recipe.model)
    train, valid = batches(context.train, "shuffle"), batches(context.valid, "sequential")
    return Plan((Stage("fit", task, train, valid, section),))
