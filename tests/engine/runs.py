"""Small stages for the tests of the engine. Shape legend: B rows, F features, N rows of a table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tocsin.core.axes import Axes
from tocsin.core.duration import Duration
from tocsin.core.heads import LOGIT, Head
from tocsin.core.recipe import ComputeSection, OptimSection, StageSection
from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import Batch
from tocsin.engine.hardware import make_fabric
from tocsin.engine.task import Report, Stage, StepOutput
from tocsin.nn.losses import sum_binary_cross_entropy

FEATURES = 6


class Net(nn.Module):
    """A trunk and a head; with dropout, so that a run depends on the generators."""

    def __init__(self, width: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(FEATURES, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logit": self.head(self.trunk(x)).squeeze(-1)}


@dataclass
class Classify:
    """Binary classification; `spoil` may break a step, as a test wants it."""

    width: int = 16
    dropout: float = 0.1
    spoil: Callable[[StepOutput], StepOutput] = lambda output: output
    largest: int | None = None
    """More rows than this at once are out of memory."""
    tried: list[int] = field(default_factory=list)

    def build(self) -> nn.Module:
        return Net(self.width, self.dropout)

    heads: ClassVar[tuple[Head, ...]] = (LOGIT,)

    target_axes: ClassVar[Axes] = {}

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        rows = len(inputs["x"])
        self.tried.append(rows)
        if self.largest is not None and rows > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        scores = model(**inputs)
        loss = sum_binary_cross_entropy(scores["logit"], targets["label"], mask_B=targets.get("mask"))
        return self.spoil(StepOutput(loss, scores))

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        right = (scores["logit"] > 0) == (targets["label"] > 0)
        return Report(-loss, {"accuracy": float(right.mean()), "f1_macro": float(right.mean())})


def make_rows(rows: int, seed: int = 0, positive: float = 0.5) -> tuple[Arrays, Arrays]:
    """Two Gaussian classes, not quite apart."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < positive).astype(np.int64)
    x = rng.normal(size=(rows, FEATURES)) + 0.8 * label[:, None]
    return {"x": x.astype(np.float32)}, {"label": label}


def make_section(**changes: Any) -> StageSection:
    fixed = {
        "length": Duration(3, "epochs"),
        "batch_size": 32,
        "log_every": 1,
        "optim": OptimSection(learning_rate=3e-3),
    }
    return StageSection(**(fixed | changes))


def make_stage(
    task: Any = None, rows: int = 200, positive: float = 0.5, seed: int = 0, **changes: Any
) -> Stage:
    section = make_section(**changes)
    train = ArrayBatches(*make_rows(rows, seed, positive), section.batch_size, seed=seed)
    valid = ArrayBatches(*make_rows(rows, seed + 1000, positive), 64, draw="sequential")
    return Stage("train", task or Classify(), train, valid, section)


def cpu(precision: str = "32") -> Fabric:
    return make_fabric(ComputeSection(device="cpu", precision=precision, threads=1))  # type: ignore[arg-type]


def whole(source: ArrayBatches) -> Batch:
    """All rows of a source in one batch."""
    rows = len(next(iter(source.inputs.values())))
    return ArrayBatches(source.inputs, source.targets, rows, draw="sequential", terms=source.terms)[0]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def history_without_times(folder: Path) -> list[list[tuple[str, str]]]:
    from tocsin.engine.history import EVALUATIONS, STEPS, read_table

    found = []
    for name in (STEPS, EVALUATIONS):
        rows = read_table(folder / name)
        found.append([(k, v) for row in rows for k, v in row.items() if not k.endswith("seconds")])
    return found
