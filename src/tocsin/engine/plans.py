"""The fits of a plan, each made when those that it is made of are done, and what is packaged of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_fabric import Fabric
from torch import nn

from tocsin.core.heads import Head
from tocsin.core.types import Files
from tocsin.engine.cross import cross_fit
from tocsin.engine.fits import Finished, PlanOptions, Running
from tocsin.engine.task import CrossFit, Plan, PlanContext, Stage


@dataclass(frozen=True)
class PlanResult:
    """What the fits of a plan brought."""

    fits: Mapping[str, Finished]
    packaged: nn.Module | Files
    heads: tuple[Head, ...]
    """The outputs of what is packaged."""

    @property
    def last(self) -> Finished:
        """The last fit."""
        return list(self.fits.values())[-1]


def fit_plan(fabric: Fabric, plan: Plan, context: PlanContext, options: PlanOptions) -> PlanResult:
    """Do the fits of a plan in their order, and package; every process does at the same time."""
    running = Running(fabric, context, options)
    for step in plan.steps:
        if isinstance(step, CrossFit):
            running.keep(step.name, cross_fit(running, step))
        else:
            stage = step if isinstance(step, Stage) else step(running.done)
            running.keep(stage.name, running.fit(stage))
    last = list(running.done.values())[-1]
    packaged = last.module() if plan.package is None else plan.package(running.done)
    if isinstance(packaged, nn.Module):
        packaged.eval()
    heads = last.stage.task.heads if plan.heads is None else plan.heads
    return PlanResult(running.done, packaged, heads)
