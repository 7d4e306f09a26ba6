"""Two fits: the whole model on the rules that let something pass, then adapters on all rules.

Shape legend: N rows, L places.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.types import Arrays, Files
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.task import Fits, Part, Plan, PlanContext, Report, Stage, StepOutput, WarmStart

from . import PLACES, FirewallConfig, pack
from .model import build_adapted, build_base
from .writer import ADAPTERS, ASK, BASE, END, TOKENS

Draw = Literal["shuffle", "sequential"]
NOTHING = -1
"""Target of a place that no answer follows on."""


@dataclass(frozen=True)
class WriteTask:
    """The next token of the answer at each of its places."""

    heads: ClassVar[tuple[Head, ...]] = (Head("next", "kinds", (PLACES, TOKENS)),)
    target_axes: ClassVar[Axes] = {"next": (Axis("places", length="length", pad=NOTHING),)}
    config: FirewallConfig
    is_adapted: bool

    def build(self) -> nn.Module:
        return (build_adapted if self.is_adapted else build_base)(self.config)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        outputs = model(inputs["tokens"])
        loss = F.cross_entropy(
            outputs["next"].transpose(1, 2), targets["next"], ignore_index=NOTHING, reduction="sum"
        )
        return StepOutput(loss, outputs)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Follow the loss; an answer whose every token is the most probable is the one that would be written."""
        asked = targets["next"] != NOTHING
        right = (scores["next"].argmax(-1) == targets["next"]) | ~asked
        return Report(-loss, {"loss": loss, "exact": float(right.all(axis=1).mean())})


def plan(context: PlanContext) -> Plan:
    """Return both stages."""
    for name, section in context.recipe.stages.items():
        if not section.length.count:
            raise InputError(f"stages.{name}.length: neither of the two stages can be skipped")
    config = context.recipe.model
    base = _stage(
        context,
        "base",
        WriteTask(config, is_adapted=False),
        (_passing(context.train), _passing(context.valid)),
    )
    adapt = _stage(context, "adapt", WriteTask(config, is_adapted=True), (context.train, context.valid))
    return Plan((base, replace(adapt, init=(WarmStart("base"),), adapters_only=True)), package)


def package(fits: Fits) -> Files:
    """Return the base and, apart from it, what was learned beside it."""
    return {BASE: save(dict(fits["base"].weights)), ADAPTERS: save(dict(fits["adapt"].weights))}


def _passing(part: Part) -> Part:
    return part.take(np.flatnonzero([str(text).startswith("pass") for text in part.truth["answer"]]))


def _stage(context: PlanContext, name: str, task: WriteTask, sides: tuple[Part, Part]) -> Stage:
    section = context.recipe.stages[name]
    train, valid = (
        _batches(part, draw, section.batch_size, context.seed)
        for part, draw in zip(sides, ("shuffle", "sequential"), strict=True)
    )
    return Stage(name, task, train, valid, section)


def _batches(part: Part, draw: Draw, size: int, seed: int) -> ArrayBatches:
    """Return the requests with their answers behind them, and at each place the token of the answer that follows."""
    answers = [[*text.encode(), END] for text in part.truth["answer"]]
    asked = [
        [*row[:length].tolist(), ASK]
        for row, length in zip(part.arrays["tokens"], part.arrays["length"], strict=True)
    ]
    lines = pack([before + answer[:-1] for before, answer in zip(asked, answers, strict=True)])
    follows_NL = np.full_like(lines["tokens"], NOTHING)
    for row, (before, answer) in enumerate(zip(asked, answers, strict=True)):
        follows_NL[row, len(before) - 1 : len(before) - 1 + len(answer)] = answer
    terms_N = np.array([len(answer) for answer in answers], dtype=np.float64)
    return ArrayBatches(lines, {"next": follows_NL}, size, seed, draw, terms=terms_N)
