"""Training rows per second: our step, a raw PyTorch loop of the same model, and pytorch-tabular's FT-Transformer.

Ours and the raw loop take turns of a few steps in one process. pytorch-tabular runs in an environment of its own
(its path in TOCSIN_PEERS, by default .venv-peers) and takes turns by process; without it its rows are left out.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.flows import CARDINALITIES, NUMERIC, make_arrays
from benchmarks.table import publish
from tocsin.core.recipe import OptimSection
from tocsin.core.types import Arrays
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import Features, FTTransformer
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.hardware import choose_precision
from tocsin.engine.step import Stepper
from tocsin.engine.task import Report, StepOutput

ROWS, BATCH, TURN, TURNS, THREADS = 8192, 256, 4, 6, 1
PEER_ROWS, PEER_TURNS = 2560, 2
HEAD_WIDTHS = ((16, "same size"), (128, "as it comes"))


class BenchTask:
    """Summed binary cross-entropy, as in fine-tuning."""

    def build(self) -> nn.Module:
        """Return the FT-Transformer of the default recipe, without families."""
        torch.manual_seed(0)
        return FTTransformer(Features(NUMERIC, CARDINALITIES), IntrusionConfig(), 0)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum the loss."""
        scores = model(**inputs)
        loss = F.binary_cross_entropy_with_logits(scores["logit"], targets["label"].float(), reduction="sum")
        return StepOutput(loss, scores)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Not used here."""
        return Report(-loss, {})


def our_step(precision: Literal["32-true", "bf16-mixed"] = "32-true") -> Callable[[int], object]:
    """Return a function that makes step `i` through the engine."""
    arrays, label = make_arrays(ROWS)
    batches = ArrayBatches(arrays, {"label": label}, BATCH)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    task = BenchTask()
    model = task.build()
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=1e-4))
    stepper = Stepper(fabric, task, model, optimizer, OptimSection())
    return lambda index: stepper(batches[index])


def raw_step() -> Callable[[int], object]:
    """Return the same step as an engineer writes it by hand."""
    arrays, label = make_arrays(ROWS)
    inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
    target = torch.from_numpy(label).float()
    model = BenchTask().build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    order = torch.randperm(ROWS)

    def step(index: int) -> float:
        start = index * BATCH % ROWS
        rows = order[start : start + BATCH]
        loss = F.binary_cross_entropy_with_logits(
            model(**{k: v[rows] for k, v in inputs.items()})["logit"], target[rows]
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def rate(step: Callable[[int], object], first: int) -> float:
    """Return rows per second over one turn."""
    start = time.perf_counter()
    for index in range(first, first + TURN):
        step(index)
    return TURN * BATCH / (time.perf_counter() - start)


def peer_rate(head: int) -> dict[str, float] | None:
    """Run pytorch-tabular in its own environment; None where there is none."""
    python = Path(os.environ.get("TOCSIN_PEERS", ".venv-peers"), "bin", "python").absolute()
    if not python.exists():
        return None
    script = Path(__file__).with_name("pytorch_tabular_peer.py")
    command = [str(python), str(script), *map(str, (PEER_ROWS, BATCH, THREADS, head))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True, cwd=script.parent)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(THREADS)
    ours, raw = our_step(), raw_step()
    ours(0), raw(0)
    pairs = [(rate(ours, 1 + t * TURN), rate(raw, 1 + t * TURN)) for t in range(TURNS)]
    parameters = sum(p.numel() for p in BenchTask().build().parameters())
    ratio = statistics.median(a / b for a, b in pairs)
    table = [
        ("tocsin engine", parameters, max(a for a, _ in pairs), 1.0),
        ("raw PyTorch loop", parameters, max(b for _, b in pairs), ratio),
    ]
    if choose_precision("auto", "cpu")[0] == "bf16":
        half = our_step("bf16-mixed")
        half(0)
        turns = [(rate(half, 1 + t * TURN), rate(ours, 200 + t * TURN)) for t in range(TURNS)]
        faster = statistics.median(own / other for other, own in turns)
        table.append(("tocsin engine, bf16: its default here", parameters, max(a for a, _ in turns), faster))
    for head, name in HEAD_WIDTHS:
        turns = [(peer_rate(head), rate(ours, 100 + t * TURN)) for t in range(PEER_TURNS)]
        found = [(peer["rate"], int(peer["parameters"]), own) for peer, own in turns if peer]
        if found:
            best, size, _ = max(found)
            ratio = statistics.median(own / peer for peer, _, own in found)
            table.append((f"pytorch-tabular FT-Transformer, {name}", size, best, ratio))
    notes = [
        f"{ROWS:,} made rows, {NUMERIC} numbers and {len(CARDINALITIES)} names; batch {BATCH}, fp32, {THREADS} thread",
        f"turns of {TURN} steps, {TURNS} each (pytorch-tabular: {PEER_TURNS} runs of {PEER_ROWS // BATCH} steps)",
        "ratio: median of tocsin's rows/s over the other's in the same turn; aims: raw ≥ 0.95, pytorch-tabular ≥ 1.5",
        "pytorch-tabular ignores `transformer_head_dim`: each head is as wide as the model; `same size` hands it on",
    ]
    publish("training", ["who", "parameters", "rows/s", "tocsin / it"], table, notes)


if __name__ == "__main__":
    main()
