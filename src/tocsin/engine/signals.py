"""SIGTERM and SIGINT: remembered, so that a fit ends between two steps with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Signals:
    """The first signal that arrived, if any."""

    name: str | None = None


@contextmanager
def listening() -> Iterator[Signals]:
    """Remember the first SIGTERM or SIGINT in the block; a second one acts as it did before.

    Only the main thread can listen; elsewhere nothing is ever remembered.
    """
    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    watched = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in watched}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def remember(number: int, _: FrameType | None) -> None:
        heard.name = signal.Signals(number).name
        restore()

    for number in watched:
        signal.signal(number, remember)
    try:
        yield heard
    finally:
        restore()
