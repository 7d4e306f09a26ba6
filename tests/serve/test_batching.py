"""Requests that wait are answered together, and nobody shares the failure of another."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from serve.toys import ATTACK, CALM
from tocsin.core.plugins import load_detector
from tocsin.core.types import Sample, Verdict
from tocsin.serve.batching import JOB_ROWS, Batcher
from tocsin.serve.lane import Lane

Toy: Any = load_detector("toy").schema("toy").sample


class Model:
    """Remembers how many samples each call had; the first call waits for `go`; `bad` samples raise."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()

    def __call__(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.sizes.append(len(samples))
        self.go.wait(5)
        if any(sample.model_dump()["note"] == "bad" for sample in samples):
            raise OverflowError("bad")
        return [
            Verdict(
                label="bad",
                category=None,
                probability=1 / (1 + 2 ** -sample.model_dump()["a"]),
                threshold=0.5,
                abstain=False,
                evidence=(),
                artifact="x",
            )
            for sample in samples
        ]


async def ask(model: Model, requests: list[list[Sample]], threads: int = 1) -> list[Any]:
    """Send the first request, the others while it is being answered, then let the model go."""
    lane = Lane(threads, 1000, 10.0)
    batcher = Batcher(lane, model)
    tasks = [asyncio.create_task(batcher.predict(requests[0]))]
    await asyncio.sleep(0.05)
    tasks += [asyncio.create_task(batcher.predict(samples)) for samples in requests[1:]]
    await asyncio.sleep(0.05)
    model.go.set()
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    lane.close()
    return found


def test_what_waits_is_answered_together_and_in_order() -> None:
    model, values = Model(), [float(i) for i in range(-3, 4)]
    found = asyncio.run(ask(model, [[Toy(a=value)] for value in values]))
    assert model.sizes == [1, 6]
    assert [answer[0].probability for answer in found] == [1 / (1 + 2**-value) for value in values]


def test_a_job_is_bounded() -> None:
    model = Model()
    asyncio.run(ask(model, [[Toy(**CALM)] * 20 for _ in range(5)]))
    assert model.sizes == [20] * 5
    assert JOB_ROWS < 20 * 2


def test_only_the_bad_one_fails() -> None:
    model = Model()
    found = asyncio.run(ask(model, [[Toy(**CALM)], [Toy(**ATTACK)], [Toy(note="bad")], [Toy(**CALM)] * 2]))
    assert [isinstance(answer, OverflowError) for answer in found] == [False, False, True, False]
    assert [len(answer) for answer in (found[0], found[1], found[3])] == [1, 1, 2]


def test_one_after_the_other_never_hangs() -> None:
    async def converse() -> int:
        lane, model = Lane(1, 1000, 10.0), Model()
        model.go.set()
        batcher = Batcher(lane, model)
        for _ in range(500):
            await asyncio.wait_for(batcher.predict([Toy(**CALM)]), 2)
        lane.close()
        return len(model.sizes)

    assert asyncio.run(converse()) == 500


def test_what_nobody_waits_for_is_not_answered() -> None:
    async def converse(model: Model) -> None:
        lane = Lane(1, 1000, 10.0)
        batcher = Batcher(lane, model)
        first = asyncio.create_task(batcher.predict([Toy(**CALM)]))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.predict([Toy(**CALM)] * 5), 0.05)
        model.go.set()
        await first
        await asyncio.sleep(0.05)
        lane.close()

    model = Model()
    asyncio.run(converse(model))
    assert model.sizes == [1]
