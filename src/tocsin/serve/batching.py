"""Answers waiting requests as one batch.

It never waits to fill a batch, and a failing request does not fail its neighbours.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from tocsin.core.types import Sample, Verdict
from tocsin.serve.lane import Lane

JOB_ROWS = 32
"""Samples that are answered in one job, before other jobs have their turn."""

Predict = Callable[[Sequence[Sample]], list[Verdict]]
Request = tuple[Sequence[Sample], "asyncio.Future[list[Verdict]]"]


class Batcher:
    """Gathers what came in while the model was busy: the more clients, the larger the batches.

    A call into the model and the change of thread before it cost as much as a row or two, so requests of one
    sample gain from company. A sample's verdict does not depend on it: alone equals together.
    """

    def __init__(self, lane: Lane, predict: Predict) -> None:
        self._lane = lane
        self._predict = predict
        self._waiting: deque[Request] = deque()
        self._pumping = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def predict(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Return the verdicts of at most JOB_ROWS samples; raises what the model raises for these samples alone."""
        answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self._waiting.append((samples, answer))
        if self._pumping < self._lane.threads:
            self._pumping += 1
            task = asyncio.create_task(self._pump())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _pump(self) -> None:
        """Answer until the queue is empty.

        Decrement the counter here: the task itself ends one loop iteration later.
        """
        while taken := self._take():
            try:
                found = await self._lane.run(partial(_answer_all, self._predict, [s for s, _ in taken]))
            except Exception as error:  # noqa: BLE001 - the lane's own failure is everybody's
                found = [error] * len(taken)
            for (_, answer), outcome in zip(taken, found, strict=True):
                _settle(answer, outcome)
        self._pumping -= 1

    def _take(self) -> list[Request]:
        """Take the oldest requests, up to JOB_ROWS samples; those that nobody waits for any more are dropped."""
        taken: list[Request] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0][0]) <= JOB_ROWS):
            request = self._waiting.popleft()
            if not request[1].done():
                taken.append(request)
                size += len(request[0])
        return taken


def _answer_all(predict: Predict, requests: Sequence[Sequence[Sample]]) -> list[list[Verdict] | Exception]:
    """Answer requests together; where that fails, each by itself, so that the others get their verdicts."""
    together = _answer_alone(predict, [sample for samples in requests for sample in samples])
    if len(requests) == 1:
        return [together]
    if isinstance(together, Exception):
        return [_answer_alone(predict, samples) for samples in requests]
    verdicts = iter(together)
    return [[next(verdicts) for _ in samples] for samples in requests]


def _answer_alone(predict: Predict, samples: Sequence[Sample]) -> list[Verdict] | Exception:
    try:
        return predict(samples)
    except Exception as error:  # noqa: BLE001 - handed to the one who asked
        return error


def _settle(answer: "asyncio.Future[list[Verdict]]", outcome: list[Verdict] | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
