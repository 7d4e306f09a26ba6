"""Where models run: threads beside the event loop, a bounded number of requests before them, a heartbeat.

The lane runs small jobs in their turn: a request of many samples is many jobs, and those of other requests come
in between; requests of few samples that wait at the same time are one job (`batching`).
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from time import monotonic
from typing import TypeVar

from tocsin.serve.problems import Problem

T = TypeVar("T")


class Lane:
    """Runs jobs in `threads` threads, for at most `limit` requests at once."""

    def __init__(self, threads: int, limit: int, patience: float) -> None:
        self.threads = threads
        self.admitted = 0
        self._limit = limit
        self._patience = patience
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._outstanding = 0
        self._running: dict[int, float] = {}
        self._numbers = count()
        self._progress = monotonic()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request in for as long as the block runs; Problem `overloaded` when there are too many."""
        if self.admitted >= self._limit:
            raise Problem("overloaded")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job on the pool and return its result. A job whose caller has gone is never started."""
        if not self._outstanding:
            self._progress = monotonic()  # the idle time before is no sign of being stuck
        self._outstanding += 1
        try:
            return await asyncio.wrap_future(self._pool.submit(self._work, job))
        finally:
            self._outstanding -= 1

    @property
    def waiting(self) -> int:
        """How many jobs have not started."""
        return max(0, self._outstanding - len(self._running))

    def is_stuck(self) -> bool:
        """Tell whether a job has run for too long, or none is started although some wait."""
        now, running = monotonic(), list(self._running.values())
        starved = self.waiting > 0 and not running and now - self._progress > self._patience
        return starved or any(now - start > self._patience for start in running)

    def close(self) -> None:
        """Drop the jobs that have not started, and end the threads after those that have."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, job: Callable[[], T]) -> T:
        number = next(self._numbers)
        self._running[number] = monotonic()
        try:
            return job()
        finally:
            self._progress = monotonic()
            del self._running[number]
