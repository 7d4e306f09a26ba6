"""Rows per second of our in-memory batches and of PyTorch's DataLoader, in turns."""

import statistics
import time
from collections.abc import Iterable

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.flows import make_arrays
from benchmarks.table import publish
from tocsin.engine.arrays import ArrayBatches

ROWS, BATCH, ROUNDS = 50_000, 256, 5


def rate(batches: Iterable[object]) -> float:
    """Return rows per second of one pass."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return ROWS / (time.perf_counter() - start)


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(1)
    arrays, label = make_arrays(ROWS)
    ours = ArrayBatches(arrays, {"label": label}, BATCH, seed=0, draw="shuffle")
    rows = TensorDataset(*(torch.from_numpy(a) for a in [*arrays.values(), label]))
    plain = DataLoader(rows, batch_size=BATCH, shuffle=True)
    pairs = [(rate(ours[i + r * len(ours)] for i in range(len(ours))), rate(plain)) for r in range(ROUNDS)]
    ratio = statistics.median(a / b for a, b in pairs)
    best = [max(side) for side in zip(*pairs, strict=True)]
    table = [("tocsin ArrayBatches", best[0], ratio), ("torch DataLoader, defaults", best[1], 1.0)]
    notes = [
        f"{ROWS:,} rows of 42 features, batch {BATCH}, {ROUNDS} rounds in turns; best rate, median ratio; aim ≥ 20"
    ]
    publish("batches", ["source", "rows/s", "times the DataLoader"], table, notes)


if __name__ == "__main__":
    main()
