"""Training steps in turns: through the engine, the same written by hand, and a peer in an environment of its own."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional as F

from tocsin.core.recipe import OptimSection
from tocsin.core.types import Arrays
from tocsin.engine.batch import BatchSource
from tocsin.engine.step import Stepper
from tocsin.engine.task import Task

TURN, TURNS = 4, 6

Step = Callable[[int], object]


def engine_step(
    task: Task, batches: BatchSource, precision: Literal["32-true", "bf16-mixed"] = "32-true"
) -> Step:
    """Return a function that makes step `i` through the engine."""
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    torch.manual_seed(0)
    model = task.build()
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=1e-4))
    stepper = Stepper(fabric, task, model, optimizer, OptimSection())
    return lambda index: stepper(batches[index])


def hand_step(model: nn.Module, arrays: Arrays, label: np.ndarray, batch: int) -> Step:
    """Return the same step as an engineer writes it by hand."""
    inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
    target = torch.from_numpy(label).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    order = torch.randperm(len(target))

    def step(index: int) -> float:
        rows = order[index * batch % len(target) :][:batch]
        logit = model(**{k: v[rows] for k, v in inputs.items()})["logit"]
        loss = F.binary_cross_entropy_with_logits(logit, target[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def rate(step: Step, first: int, batch: int) -> float:
    """Return rows per second over one turn."""
    start = time.perf_counter()
    for index in range(first, first + TURN):
        step(index)
    return TURN * batch / (time.perf_counter() - start)


def in_turns(one: Step, other: Step, batch: int, first: int = 1) -> list[tuple[float, float]]:
    """Return the rates of both over TURNS turns each; `first` is where the other's batches begin."""
    starts = range(0, TURN * TURNS, TURN)
    return [(rate(one, 1 + start, batch), rate(other, first + start, batch)) for start in starts]


def beside_peer(ours: Step, batch: int, turns: int, command: list[str]) -> tuple[int, float, float] | None:
    """Return a peer's parameters, its best rate and how many times ours is faster, by processes in turns.

    The command is a script beside this file and its arguments; None where the peers' environment is not made.
    """
    pairs = [(run_peer(command), rate(ours, 100 + t * TURN, batch)) for t in range(turns)]
    found = [(peer["rate"], int(peer["parameters"]), own) for peer, own in pairs if peer]
    if not found:
        return None
    best, size, _ = max(found)
    return size, best, statistics.median(own / peer for peer, _, own in found)


def run_peer(command: list[str]) -> dict[str, Any] | None:
    """Run a script beside this file in the peers' environment; None where that is not made."""
    python = Path(os.environ.get("TOCSIN_PEERS", ".venv-peers"), "bin", "python").absolute()
    if not python.exists():
        return None
    done = subprocess.run(
        [str(python), *command],
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
        cwd=Path(__file__).parent,
        env=os.environ | {"KERAS_BACKEND": "torch"},
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
