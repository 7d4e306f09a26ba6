"""What happens in a fit, for those who watch it, and the observer that stops it in time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.engine.step import StepResult
from tocsin.engine.summary import Judgement
from tocsin.engine.task import Report


@dataclass(frozen=True)
class Started:
    """A fit starts, or resumes after `step` steps; discard anything recorded for later steps."""

    stage: str
    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class StepDone:
    """One optimizer step."""

    step: int
    """How many steps are done, this one included."""
    epoch: float
    rate: float
    """Learning rate of a group with scale 1."""
    result: StepResult
    data_seconds: float
    """Time in which the step waited for its batch."""
    warm: bool
    """The warm-up of the rate is over."""


@dataclass(frozen=True)
class EvalDone:
    """One evaluation of the validation rows."""

    step: int
    epoch: float
    rate: float
    report: Report
    loss: float
    """Mean loss over the validation rows."""
    train_loss: float
    """Mean loss over the steps since the evaluation before."""
    outputs: Mapping[str, Judgement]
    improved: bool
    """The best value so far; the weights are written as `best.safetensors`."""
    seconds: float
    """Wall time since the evaluation before, this one included."""
    warm: bool


@dataclass(frozen=True)
class Saving:
    """A checkpoint is about to be written: what observers hold must be on the disk before."""

    step: int


@dataclass(frozen=True)
class Ended:
    """The fit is over, for a reason other than its length if there is one; also after an error."""

    step: int
    epoch: float
    best: Report | None
    """None if the fit ended before its first evaluation."""
    reason: str | None


Event = Started | StepDone | EvalDone | Saving | Ended
Observer = Callable[[Event], str | None]
"""Watches a fit; a string is a reason to stop it."""


def beats(value: float, best: float) -> bool:
    """Tell whether a value is better than the best so far; any number is better than NaN."""
    return value > best or (math.isnan(best) and not math.isnan(value))


@dataclass
class EarlyStopping:
    """Stops after `patience` evaluations without progress, or never if that is None."""

    patience: int | None
    best: float = -math.inf
    stale: int = 0

    def __call__(self, event: Event) -> str | None:
        """Count evaluations without progress."""
        if not isinstance(event, EvalDone):
            return None
        if beats(event.report.value, self.best):
            self.best, self.stale = event.report.value, 0
        else:
            self.stale += 1
        if self.patience is not None and self.stale >= self.patience:
            return f"no progress in {self.stale} evaluations"
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return what changes in training."""
        return {"best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        self.best, self.stale = state["best"], state["stale"]
