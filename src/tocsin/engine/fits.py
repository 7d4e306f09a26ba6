"""The fits of a plan, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric

from tocsin.engine.events import Observer
from tocsin.engine.loop import FitOptions, FitResult, fit
from tocsin.engine.task import Plan, Stage


@dataclass(frozen=True)
class PlanOptions:
    """What the fits of a plan share."""

    folder: Path
    """Each fit has a folder of its own in it."""
    seed: int = 0
    resume: bool = False
    micro_batch: int | None = None
    cache: Path | None = None
    """Folder of the learning-rate cache."""
    fingerprint: str = ""
    """Of the rows and their split."""
    observers: Callable[[str, Path, int], Sequence[Observer]] | None = None
    """(name of the fit, its folder, log_every) -> who watches it."""
    tell: Callable[[str], None] | None = None


def fit_plan(fabric: Fabric, plan: Plan, options: PlanOptions) -> Mapping[str, FitResult]:
    """Fit the stages of a plan in their order; returns name -> result."""
    done: dict[str, FitResult] = {}
    for stage in plan.stages:
        done[stage.name] = _fit_stage(fabric, stage, done, options)
    return done


def _fit_stage(
    fabric: Fabric, stage: Stage, done: Mapping[str, FitResult], options: PlanOptions
) -> FitResult:
    folder = options.folder / stage.name
    if options.tell is not None:
        options.tell(f"{stage.name}, {stage.section.length}, {len(stage.train):,} steps an epoch")
    watching = options.observers(stage.name, folder, stage.section.log_every) if options.observers else ()
    how = FitOptions(
        seed=options.seed,
        warm={name: result.best for name, result in done.items()},
        resume=options.resume,
        observers=watching,
        micro_batch=options.micro_batch,
        cache=options.cache,
        fingerprint=options.fingerprint,
    )
    return fit(fabric, stage, folder, how)
