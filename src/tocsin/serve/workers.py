"""Several server processes behind one socket: started, watched, replaced, ended together."""

import logging
import os
import signal
from collections.abc import Callable
from time import monotonic
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
YOUNG_SECONDS = 5.0
"""A process that ends sooner would end so again: the others are ended too."""


def supervise(count: int, work: Callable[[], None], retire: Callable[[int], None]) -> None:
    """Fork `count` processes that do the work, replace those that die, return when a signal has ended all.

    `retire` is told the id of every process that is gone. A second signal kills them and this process.
    """
    crew = _Crew(work)
    previous = {sig: signal.signal(sig, crew.stop) for sig in SIGNALS}
    try:
        for _ in range(count):
            crew.hire()
        while crew.hired:
            pid, status = os.waitpid(-1, 0)
            started = crew.hired.pop(pid, None)
            if started is None:
                continue
            retire(pid)
            if not crew.stopping:
                crew.replace(pid, status, started)
    finally:
        for sig, handler in previous.items():
            signal.signal(sig, handler)


class _Crew:
    """The processes and when they were started."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.hired: dict[int, float] = {}
        self.stopping = False
        self._work = work

    def hire(self) -> None:
        """Fork one process; signals wait until it and this one know what to do with them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._be_worker()
        self.hired[pid] = monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _be_worker(self) -> None:
        code = 1
        try:
            for sig in SIGNALS:
                signal.signal(sig, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._work()
            code = 0
        except BaseException as error:  # noqa: BLE001 - a forked process must not return into its parent's code
            log.error("server process failed", extra={"error": type(error).__name__})
        finally:
            os._exit(code)

    def replace(self, pid: int, status: int, started: float) -> None:
        """Start a process in the place of one that died, unless it died young."""
        log.error("server process ended", extra={"pid": pid, "code": os.waitstatus_to_exitcode(status)})
        if monotonic() - started < YOUNG_SECONDS:
            self.stop(signal.SIGTERM, None)
        else:
            self.hire()

    def stop(self, sig: int, _frame: FrameType | None) -> None:
        """Pass a signal on to all; at the second, kill them and end."""
        for pid in self.hired:
            os.kill(pid, signal.SIGKILL if self.stopping else signal.SIGTERM)
        if self.stopping:
            os._exit(128 + sig)
        self.stopping = True
