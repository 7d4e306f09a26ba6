"""Training rows per second: our step, a raw PyTorch loop of the same model, and pytorch-tabular's FT-Transformer.

Ours and the raw loop take turns of a few steps in one process. pytorch-tabular runs in an environment of its own
(its path in TOCSIN_PEERS, by default .venv-peers) and takes turns by process; without it its rows are left out.
"""

import statistics
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.flows import CARDINALITIES, NUMERIC, make_arrays
from benchmarks.steps import TURN, TURNS, Step, beside_peer, engine_step, hand_step, in_turns
from benchmarks.table import publish
from tocsin.core.axes import Axes
from tocsin.core.heads import LOGIT, Head
from tocsin.core.types import Arrays
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import Features, FTTransformer
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.hardware import choose_precision
from tocsin.engine.task import Report, StepOutput

ROWS, BATCH, THREADS = 8192, 256, 1
PEER_ROWS, PEER_TURNS = 2560, 2
HEAD_WIDTHS = ((16, "same size"), (128, "as it comes"))


class BenchTask:
    """Summed binary cross-entropy, as in fine-tuning."""

    def build(self) -> nn.Module:
        """Return the FT-Transformer of the default recipe, without families."""
        torch.manual_seed(0)
        return FTTransformer(Features(NUMERIC, CARDINALITIES), IntrusionConfig(), 0)

    heads: ClassVar[tuple[Head, ...]] = (LOGIT,)

    target_axes: ClassVar[Axes] = {}

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        """Sum the loss."""
        scores = model(**inputs)
        loss = F.binary_cross_entropy_with_logits(scores["logit"], targets["label"].float(), reduction="sum")
        return StepOutput(loss, scores)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        """Not used here."""
        return Report(-loss, {})


def our_step(precision: Literal["32-true", "bf16-mixed"] = "32-true") -> Step:
    """Return a function that makes step `i` through the engine."""
    arrays, label = make_arrays(ROWS)
    return engine_step(BenchTask(), ArrayBatches(arrays, {"label": label}, BATCH), precision)


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(THREADS)
    ours, raw = our_step(), hand_step(BenchTask().build(), *make_arrays(ROWS), BATCH)
    ours(0), raw(0)
    pairs = in_turns(ours, raw, BATCH)
    parameters = sum(p.numel() for p in BenchTask().build().parameters())
    ratio = statistics.median(a / b for a, b in pairs)
    table = [
        ("tocsin engine", parameters, max(a for a, _ in pairs), 1.0),
        ("raw PyTorch loop", parameters, max(b for _, b in pairs), ratio),
    ]
    if choose_precision("auto", "cpu")[0] == "bf16":
        half = our_step("bf16-mixed")
        half(0)
        turns = in_turns(half, ours, BATCH, 200)
        faster = statistics.median(own / other for other, own in turns)
        table.append(("tocsin engine, bf16: its default here", parameters, max(a for a, _ in turns), faster))
    for head, name in HEAD_WIDTHS:
        command = ["pytorch_tabular_peer.py", *map(str, (PEER_ROWS, BATCH, THREADS, head))]
        if found := beside_peer(ours, BATCH, PEER_TURNS, command):
            table.append((f"pytorch-tabular FT-Transformer, {name}", *found))
    notes = [
        f"{ROWS:,} made rows, {NUMERIC} numbers and {len(CARDINALITIES)} names; batch {BATCH}, fp32, {THREADS} thread",
        f"turns of {TURN} steps, {TURNS} each (pytorch-tabular: {PEER_TURNS} runs of {PEER_ROWS // BATCH} steps)",
        "ratio: median of tocsin's rows/s over the other's in the same turn; aims: raw ≥ 0.95, pytorch-tabular ≥ 1.5",
        "pytorch-tabular ignores `transformer_head_dim`: each head is as wide as the model; `same size` hands it on",
    ]
    publish("training", ["who", "parameters", "rows/s", "tocsin / it"], table, notes)


if __name__ == "__main__":
    main()
