"""Batches made ahead of time."""

from concurrent.futures import Future, ThreadPoolExecutor

from tocsin.engine.batch import Batch, BatchSource


class Lookahead:
    """Makes the next batch in a thread while a GPU computes; on the CPU both would want the same cores."""

    def __init__(self, source: BatchSource, is_on: bool) -> None:
        self.source = source
        self.pool = ThreadPoolExecutor(1, "batches") if is_on else None
        self.next: tuple[int, Future[Batch]] | None = None

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, made already if it follows the one before."""
        if self.pool is None:
            return self.source[index]
        batch = self.next[1].result() if self.next and self.next[0] == index else self.source[index]
        self.next = (index + 1, self.pool.submit(self.source.__getitem__, index + 1))
        return batch

    def close(self) -> None:
        """Let the thread go."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
