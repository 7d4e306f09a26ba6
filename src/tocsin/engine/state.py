"""All that changes while a stage is fitted, and so what a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tocsin.core.errors import InputError
from tocsin.engine.events import EarlyStopping
from tocsin.engine.generators import capture_generators, restore_generators, seed_generators
from tocsin.engine.guards import CollapseGuard
from tocsin.engine.optim import make_average, make_optimizer
from tocsin.engine.schedule import Schedule
from tocsin.engine.step import MicroBatches, Stepper, bare
from tocsin.engine.task import Report, Stage
from tocsin.engine.weights import Weights, put_weights, take_weights, warm_start

FREE_TO_CHANGE = ("keep_checkpoints", "rollbacks", "log_every")
"""Keys of a stage's section that a resumed run may change."""


@dataclass
class Best:
    """The best evaluation so far."""

    step: int
    report: Report
    weights: Weights


@dataclass
class FitState:
    """One fit in progress."""

    fabric: Fabric
    stage: Stage
    seed: int
    stepper: Stepper
    schedule: Schedule
    guard: CollapseGuard
    stopping: EarlyStopping
    average: AveragedModel | None
    step: int = 0
    """Steps done, which is the index of the next batch."""
    evaluated: int = 0
    """Step of the newest evaluation."""
    rollbacks: int = 0
    loss_sum: float = 0.0
    """Over the terms since the newest evaluation."""
    count: float = 0.0
    best: Best | None = None
    stopped: str | None = None

    @property
    def module(self) -> nn.Module:
        """The model that trains, without Fabric's wrapper."""
        return bare(self.stepper.model)

    @property
    def judged(self) -> nn.Module:
        """The model that is evaluated and kept: the average, if there is one."""
        return self.module if self.average is None else self.average.module

    def weights(self) -> Weights:
        """Copy the weights that are evaluated and kept."""
        return take_weights(self.judged, self.stage.adapters_only)

    def state_dict(self) -> dict[str, Any]:
        """Return everything, in types that `torch.load(weights_only=True)` reads; all devices call it."""
        return {
            "stage": self.stage.name,
            "section": self.stage.section.model_dump(mode="json"),
            "seed": self.seed,
            "model": take_weights(self.module, self.stage.adapters_only),
            "optimizer": self.stepper.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else take_weights(self.average),
            "guard": self.guard.state_dict(),
            "stopping": self.stopping.state_dict(),
            "micro": self.stepper.micro.rows,
            "generators": _gather(self.fabric, capture_generators()),
            "best": None if self.best is None else _plain(self.best),
            **{name: getattr(self, name) for name in SCALARS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` returned; InputError if the recipe has changed in between."""
        self._check_unchanged(state)
        put_weights(self.module, state["model"], self.stage.adapters_only)
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.guard.load_state_dict(state["guard"])
        self.stopping.load_state_dict(state["stopping"])
        self.stepper.micro.rows = state["micro"]
        best = state["best"]
        self.best = None if best is None else Best(best["step"], Report(**best["report"]), best["weights"])
        for name in SCALARS:
            setattr(self, name, state[name])
        if len(state["generators"]) == self.fabric.world_size:
            restore_generators(state["generators"][self.fabric.global_rank])

    def _check_unchanged(self, state: dict[str, Any]) -> None:
        now = {"stage": self.stage.name, "seed": self.seed, **self.stage.section.model_dump(mode="json")}
        then = {"stage": state["stage"], "seed": state["seed"], **state["section"]}
        for name in now:
            if name not in FREE_TO_CHANGE and now[name] != then.get(name):
                changed = f"{name} was {then.get(name)!r}, is {now[name]!r}"
                raise InputError(f"stage {self.stage.name!r} cannot go on: {changed}; run without --resume")


SCALARS = ("step", "evaluated", "rollbacks", "loss_sum", "count", "stopped")


def make_state(
    fabric: Fabric, stage: Stage, seed: int, warm: Mapping[str, Mapping[str, torch.Tensor]], micro: int | None
) -> FitState:
    """Seed, build the model, warm-start it and set everything up; the peak rate is not known yet."""
    seed_generators(seed)
    module = stage.task.build()
    warm_start(module, stage.init, warm)
    section = stage.section
    has_scaler = getattr(fabric.strategy.precision, "scaler", None) is not None
    raw = make_optimizer(module, section.optim, 0.0, fused=not has_scaler)
    model, optimizer = fabric.setup(module, raw)
    if fabric.world_size > 1:  # the same weights, but not the same dropout
        seed_generators(seed + 1000 * fabric.global_rank)
    return FitState(
        fabric,
        stage,
        seed,
        Stepper(fabric, stage.task, model, optimizer, section.optim, MicroBatches(micro)),
        Schedule(section.optim, 0.0, section.length.steps(len(stage.train))),
        CollapseGuard(block_sizes(module)),
        EarlyStopping(section.patience),
        None if section.ema is None else make_average(module, section.ema),
    )


def block_sizes(module: nn.Module) -> dict[str, int]:
    """Return top-level prefix of the parameters' names -> how many numbers in it train."""
    sizes: dict[str, int] = {}
    for name, p in module.named_parameters():
        if p.requires_grad:
            block = name.partition(".")[0]
            sizes[block] = sizes.get(block, 0) + p.numel()
    return sizes


def _plain(best: Best) -> dict[str, Any]:
    metrics = {name: float(value) for name, value in best.report.metrics.items()}
    report = {"value": float(best.report.value), "metrics": metrics}
    return {"step": best.step, "report": report, "weights": best.weights}


def _gather(fabric: Fabric, value: dict[str, Any]) -> list[dict[str, Any]]:
    if fabric.world_size == 1:
        return [value]
    gathered: list[dict[str, Any]] = [{} for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(gathered, value)
    return gathered
