"""Where models run: threads beside the event loop, a bounded number of requests before them, a heartbeat.

The lane runs small jobs in their turn. A request of many samples is many jobs, a text is a job for each token,
and jobs of other requests come in between. Requests of few samples that wait together are one job (`batching`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count, islice
from threading import Lock
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

    async def stream(self, job: Callable[[], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
        """Yield what a job yields, each item a job of its own that starts when the item is asked for.

        Nothing is made ahead of the reader. A reader that stops early closes this (`contextlib.aclosing`, or
        by being cancelled), and then the job is closed after the item that it is at.
        """
        items, turn = (
            await self.run(job),
            Lock(),
        )  # a generator cannot be entered twice, nor closed while it runs

        def take() -> list[T]:
            with turn:
                return list(islice(items, 1))

        def close() -> None:
            with turn:
                items.close()

        try:
            while taken := await self.run(take):
                yield taken[0]
        finally:
            with suppress(RuntimeError):  # the lane itself is closed
                self._pool.submit(close)

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
