"""Observers that send a fit's numbers to TensorBoard and MLflow, under the names of the source systems.

Both libraries are imported when a tracker is made, not before.
"""

import time
from pathlib import Path
from typing import Any

import psutil
import torch

from tocsin.engine.events import Ended, EvalDone, Event, Saving, StepDone
from tocsin.engine.history import accuracy, numbers

FLUSH_AT = 500
"""Numbers that wait before they are sent to MLflow in one piece (its limit for one call is 1,000)."""


def event_metrics(event: Event, log_every: int) -> tuple[int, dict[str, float]]:
    """Return (step, name -> finite number) of an event; nothing between multiples of `log_every`."""
    if isinstance(event, StepDone) and event.step % log_every == 0:
        return event.step, numbers(_step_metrics(event))
    if isinstance(event, EvalDone):
        return event.step, numbers(_evaluation_metrics(event) | system_metrics())
    if isinstance(event, Ended):
        return event.step, numbers(_final_metrics(event))
    return 0, {}


def _step_metrics(event: StepDone) -> dict[str, float]:
    return {
        "train/loss_step": event.result.loss,
        "train/accuracy_step": accuracy(event),
        "train/learning_rate": event.rate,
        "train/batch_time_seconds": event.result.seconds + event.data_seconds,
        "train/gradient_norm": event.result.norm_before,
    }


def _evaluation_metrics(event: EvalDone) -> dict[str, float]:
    named = {f"epoch/val_{name}": value for name, value in event.report.metrics.items()}
    return named | {
        "epoch/epoch": event.epoch,
        "epoch/train_loss": event.train_loss,
        "epoch/val_loss": event.loss,
        "epoch/duration_seconds": event.seconds,
    }


def _final_metrics(event: Ended) -> dict[str, float]:
    totals = {"final/total_epochs": event.epoch, "final/total_steps": event.step}
    if event.best is None:
        return totals
    best = {f"final/best_val_{name}": value for name, value in event.best.metrics.items()}
    return totals | best | {"final/best_value": event.best.value}


def system_metrics() -> dict[str, float]:
    """Return the load of processor, memory and, where there is one, GPU; percent and GB."""
    found = {
        "system/cpu_percent": psutil.cpu_percent(),
        "system/memory_percent": psutil.virtual_memory().percent,
    }
    if torch.cuda.is_available():
        found["system/gpu_memory_allocated_gb"] = torch.cuda.memory_allocated() / 1e9
    return found


class TensorBoardTracker:
    """Writes TensorBoard events into a folder."""

    def __init__(self, folder: Path, log_every: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.log_every = log_every
        self._writer: Any = SummaryWriter(str(folder))

    def __call__(self, event: Event) -> None:
        """Write the numbers of an event."""
        step, metrics = event_metrics(event, self.log_every)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        if isinstance(event, Saving | EvalDone):
            self._writer.flush()
        elif isinstance(event, Ended):
            self._writer.close()


class MlflowTracker:
    """Sends numbers to one MLflow run; several stages of one run carry their name in front of it.

    `run_id` is a run that the caller made and will end (parameters, tags and files are the caller's too).
    """

    def __init__(self, uri: str, run_id: str, log_every: int, prefix: str = "") -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self.run_id, self.log_every, self.prefix = run_id, log_every, prefix
        self._client, self._metric = MlflowClient(tracking_uri=uri), Metric
        self._waiting: list[Metric] = []

    def __call__(self, event: Event) -> None:
        """Collect the numbers of an event; send them at evaluations, before checkpoints and at the end."""
        step, metrics = event_metrics(event, self.log_every)
        now = int(time.time() * 1000)
        self._waiting += [
            self._metric(self.prefix + name, value, now, step) for name, value in metrics.items()
        ]
        if len(self._waiting) >= FLUSH_AT or isinstance(event, EvalDone | Saving | Ended):
            self._send()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._client.log_batch(self.run_id, metrics=waiting)
