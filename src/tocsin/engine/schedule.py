"""The learning rate over a fit: warm-up, then constant, cosine, or lower at each plateau."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tocsin.core.recipe import OptimSection


def warmup_steps(optim: OptimSection, total: int) -> int:
    """Return the steps in which the rate rises."""
    return round(optim.warmup * total)


def rate_factor(optim: OptimSection, step: int, total: int) -> float:
    """Return what the peak rate is multiplied by in the step after `step` steps: a pure function.

    It rises linearly from 1 / warm-up steps, so no step is wasted at rate 0; then it stays, or falls along
    half a cosine to `final_scale`.
    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """
    warm = warmup_steps(optim, total)
    if step < warm:
        return (step + 1) / warm
    if optim.schedule != "cosine":
        return 1.0
    progress = min((step - warm) / max(total - warm, 1), 1.0)
    return optim.final_scale + (1 - optim.final_scale) * (1 + math.cos(math.pi * progress)) / 2


@dataclass
class Schedule:
    """The rate of the next step. `taken` counts the steps that changed the weights."""

    optim: OptimSection
    peak: float
    total: int
    taken: int = 0
    plateau: float = 1.0
    """What plateaus multiplied the rate by so far."""
    best: float = -math.inf
    stale: int = 0
    rollbacks: float = 1.0
    """What rollbacks multiplied the rate by so far."""

    def rate(self) -> float:
        """Return the rate of a group with scale 1."""
        return self.peak * rate_factor(self.optim, self.taken, self.total) * self.plateau * self.rollbacks

    def is_warm(self) -> bool:
        """Tell whether the warm-up is over."""
        return self.taken >= warmup_steps(self.optim, self.total)

    def evaluate(self, value: float) -> None:
        """Lower the rate once more than `plateau_patience` evaluations in a row brought no progress."""
        self.stale = 0 if value > self.best else self.stale + 1
        self.best = max(self.best, value)
        if self.optim.schedule == "plateau" and self.stale > self.optim.plateau_patience:
            self.plateau *= self.optim.plateau_factor
            self.stale = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what changes in training."""
        state = asdict(self)
        return {name: state[name] for name in ("peak", "taken", "plateau", "best", "stale", "rollbacks")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)
