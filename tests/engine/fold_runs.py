"""Plans of small stages that are cross-fitted, for one process and for two."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.runs import Classify, cpu, make_rows, make_section
from tocsin.core.duration import Duration
from tocsin.core.recipe import ComputeSection
from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import ROW
from tocsin.engine.crew import Crew
from tocsin.engine.fits import PlanOptions
from tocsin.engine.hardware import make_fabric
from tocsin.engine.plans import PlanResult, fit_plan
from tocsin.engine.task import CrossFit, Part, Plan, PlanContext, Stage
from truths import truths

ROWS, COPIES = 120, 2
SECTION = make_section(length=Duration(2, "epochs"), checkpoint_every=Duration(3, "steps"), batch_size=16)


def make_part(rows: int, seed: int) -> Part:
    arrays, targets = make_rows(rows, seed)
    columns = {"x": arrays["x"][:, 0].astype(np.float64)}
    return Part(columns, arrays, truths(targets["label"]), row=np.arange(rows))


def make_context(train: Part | None = None, cluster: np.ndarray | None = None) -> PlanContext:
    """Rows that stand in pairs, each a cluster."""
    nothing: Any = None
    train = make_part(ROWS, 0) if train is None else train
    cluster = np.arange(len(train)) // COPIES if cluster is None else cluster
    return PlanContext(nothing, nothing, nothing, train, make_part(60, 9), 5, cluster=cluster)


def batches(part: Part, draw: Any = "shuffle", **targets: Any) -> ArrayBatches:
    part = part.labelled()
    known = {"label": part.label, ROW: part.row} | targets
    return ArrayBatches(part.arrays, {k: v for k, v in known.items() if v is not None}, 16, 3, draw)


def make_stage(train: Part, valid: Part, task: Any = None) -> Stage:
    task = task or Classify(dropout=0.0)
    return Stage("base", task, batches(train), batches(valid, "sequential"), SECTION)


def run(plan: Plan, context: PlanContext, folder: Path, **options: Any) -> PlanResult:
    return fit_plan(cpu(), plan, context, PlanOptions(folder, **{"seed": 5, "micro_batch": 8, **options}))


def crossed(context: PlanContext, make: Callable[[Part, Part], Stage] = make_stage, count: int = 3) -> Plan:
    return Plan((CrossFit("base", make, context.folds(count)),))


@dataclass
class CrossOrder:
    """Cross-fit in every process, and bring the scores."""

    folder: str
    names: list[str] = field(default_factory=list)

    def __call__(self, crew: Crew) -> Arrays:
        torch.set_num_threads(1)
        context = make_context()
        compute = ComputeSection(device="cpu", devices=crew.size, precision="32", threads=1)
        options = PlanOptions(Path(self.folder), 5, micro_batch=8)
        return fit_plan(make_fabric(compute, crew), crossed(context), context, options).last.out_of_fold

    def lend(self) -> "CrossOrder":
        return self


def give_order(folder: str, crew: Crew, tell: Callable[[str], None]) -> Arrays:
    return crew.together(CrossOrder(folder))
