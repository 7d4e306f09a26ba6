"""Time a sealed model as a server would run it: one thread, from sample to verdict."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.types import Sample
from tocsin.serve.predictor import Predictor
from tocsin.workflows.using.stores import Source

BATCH = 100
WARM_UP = 20


@dataclass(frozen=True)
class BenchResult:
    """Times in milliseconds."""

    rows: tuple[tuple[Any, ...], ...]
    """(what, calls, mean, p50, p95, p99, rows per second)."""
    speedup: float
    """Rows per second in batches of 100 over singles."""
    summary: str


def bench_artifact(source: Source, count: int) -> BenchResult:
    """Time `count` single predictions and a tenth as many batches of 100 on the golden samples."""
    predictor = source.predictor()
    pool = predictor.golden_samples()
    batch = [pool[i % len(pool)] for i in range(BATCH)]
    single = time_calls(predictor, [[pool[i % len(pool)]] for i in range(count)])
    many = time_calls(predictor, [batch] * max(10, count // 10))
    rows = (_row("single", 1, single), _row(f"batch of {BATCH}", BATCH, many))
    speedup = rows[1][-1] / rows[0][-1]
    summary = f"a batch of {BATCH} answers {speedup:.1f} times as many rows a second as singles"
    return BenchResult(rows, speedup, summary)


def time_calls(predictor: Predictor, calls: Sequence[Sequence[Sample]]) -> np.ndarray:
    """Return the milliseconds that each call takes, [calls], after a few that are not counted."""
    predict: Callable[[Sequence[Sample]], object] = predictor.predict
    for samples in calls[:WARM_UP]:
        predict(samples)
    times = np.empty(len(calls))
    for i, samples in enumerate(calls):
        start = time.perf_counter()
        predict(samples)
        times[i] = time.perf_counter() - start
    return times * 1000


def _row(what: str, size: int, milliseconds: np.ndarray) -> tuple[Any, ...]:
    p50, p95, p99 = (float(p) for p in np.percentile(milliseconds, (50, 95, 99)))
    mean = float(milliseconds.mean())
    return what, len(milliseconds), mean, p50, p95, p99, size * 1000 / mean
