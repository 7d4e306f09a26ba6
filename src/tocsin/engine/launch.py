"""Processes that are started by function, never by starting the program again, and attended until all have ended."""

import logging
import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from types import FrameType
from typing import Any, TypeVar

import structlog
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from tocsin.core.errors import ProcessLost, Told
from tocsin.core.logs import configure
from tocsin.engine.crew import ALONE, GRACE, Crew, find_place, joined, lost

Result = TypeVar("Result")
Tell = Callable[[str], None]
Act = Callable[[Crew, Tell], Result]
"""What the leader runs; a function of a module, or a `partial` of one, where processes are started."""
TELL, DONE, FAILED = "tell", "done", "failed"
ENDING, FAILING, LEAVING = 30.0, 2 * GRACE, 5.0
"""Seconds for the others to end once one is done, or has failed; and for a process to end after its last word."""


def launch(act: Act[Result], count: Callable[[], int], tell: Tell) -> Result:
    """Run `act` on the leader of a crew and return its result.

    Where torchrun, SLURM or Ray Train started several processes, this joins them. Elsewhere `count` says how many
    there shall be on this machine: one is this process, more are started. ProcessLost if one of them dies.
    """
    place = find_place()
    if place is not None:
        with joined(place) as crew:
            return crew.work(partial(_with_tell, act, tell))
    size = count()
    return act(ALONE, tell) if size == 1 else _start(size, act, tell)


def _with_tell(act: Act[Result], tell: Tell, crew: Crew) -> Result:
    return act(crew, tell)


@dataclass
class _Member:
    """One started process, as its parent sees it."""

    rank: int
    process: BaseProcess
    pipe: Connection
    word: tuple[str, Any] | None = None
    """What it ended with; None while it works, and for good if it died."""
    signals: list[int] = field(default_factory=list)
    """Those that were passed on to it."""

    def listen(self, tell: Tell) -> bool:
        """Take what it sent; tell whether it may send more."""
        try:
            kind, value = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return False
        if kind == TELL:
            tell(value)
            self.pipe.send(None)
        else:
            self.word = kind, value
        return True

    @property
    def has_failed(self) -> bool:
        """Whether it ended with an error, or without a word."""
        return self.word is None or self.word[0] == FAILED

    @property
    def is_victim(self) -> bool:
        """Whether it failed because another one did."""
        return self.word is not None and isinstance(self.word[1], ProcessLost | Told)

    @property
    def patience(self) -> float:
        """Seconds in which the others may end after this one did: none where the leader is dead."""
        if not self.has_failed:
            return ENDING
        return 0.0 if self.word is None and self.rank == 0 else FAILING

    def error(self) -> BaseException:
        """Return what it failed with."""
        if self.word is None:
            return lost(f"process {self.rank} {_describe_end(self.process.exitcode)}")
        error: BaseException = self.word[1]
        return error

    def end(self) -> None:
        """Let it go, or kill it: what it wrote is whole at any moment."""
        self.process.join(0 if self.word is None else LEAVING)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


def _start(size: int, act: Act[Result], tell: Tell) -> Result:
    """Start the processes, attend them, and return the leader's result or raise what went wrong first."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    members: list[_Member] = []
    try:
        members.extend(_start_member(rank, size, store.port, act) for rank in range(size))
        with _passing_signals(members[0]):
            failed = _attend(members, tell)
    finally:
        for member in members:
            member.end()
    leader = members[0]
    if leader.word is None and -(leader.process.exitcode or 0) in leader.signals:
        signal.raise_signal(leader.signals[0])  # end as this process would have, had it been alone
    if leader.word is not None and leader.word[0] == DONE:
        return leader.word[1]  # type: ignore[no-any-return]
    raise _cause(failed)


def _start_member(rank: int, size: int, port: int, act: Act[Result]) -> _Member:
    context = _context()
    ours, theirs = context.Pipe()
    environment = {**os.environ, **_place(rank, size, port)}
    level = logging.getLevelName(logging.getLogger().level) if structlog.is_configured() else None
    process = context.Process(target=_run_member, args=(environment, theirs, act, level))
    process.start()
    theirs.close()
    return _Member(rank, process, ours)


def _context() -> ForkServerContext | SpawnContext:
    """Return how processes are started: forked from a clean one, which has imported once what all of them need."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["tocsin.engine.orders"])
    return context


def _place(rank: int, size: int, port: int) -> dict[str, str]:
    """Return the environment that torchrun would give: the store is the parent's, and all stay on this machine."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", loopback),
    }


def _attend(members: Sequence[_Member], tell: Tell) -> list[_Member]:
    """Pass on what the leader tells until all have ended, or time is up for those that are left.

    Returns those that failed, in the order in which they did.
    """
    working = {member.pipe: member for member in members}
    failed: list[_Member] = []
    until = math.inf
    while working and time.monotonic() < until:
        patience = None if until == math.inf else max(0.0, until - time.monotonic())
        for pipe in wait(list(working), patience):
            member = working[pipe]  # type: ignore[index]
            if member.listen(tell) and member.word is None:
                continue
            del working[member.pipe]
            failed += [member] if member.has_failed else []
            until = min(until, time.monotonic() + member.patience)
    return failed


def _cause(failed: Sequence[_Member]) -> BaseException:
    """Return the first error that is not what another one led to."""
    return next((member for member in failed if not member.is_victim), failed[0]).error()


def _describe_end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and no word"


@contextmanager
def _passing_signals(leader: _Member) -> Iterator[None]:
    """Pass SIGTERM and SIGINT on to the leader, which ends its fit with a checkpoint; the others follow it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _: FrameType | None) -> None:
        leader.signals.append(number)
        if leader.process.is_alive() and leader.process.pid is not None:
            os.kill(leader.process.pid, number)

    watched = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, pass_on) for number in watched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_member(environment: Mapping[str, str], pipe: Connection, act: Act[Any], level: str | None) -> None:
    """Be one of the processes: the main function of each."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the parent alone, which passes it on once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if level is not None:
        configure(level, json="TOCSIN_LOG_LEVEL" in os.environ)
    os.environ |= environment
    place = find_place()
    assert place is not None
    try:
        with joined(place) as crew:
            word = DONE, crew.work(partial(_with_tell, act, partial(_pass_on, pipe)))
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        word = FAILED, _portable(error)
    pipe.send(word)


def _pass_on(pipe: Connection, message: str) -> None:
    """Have the parent say something, and wait until it has: lines stay in order."""
    pipe.send((TELL, message))
    pipe.recv()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(ProcessLost.exit_code)


def _portable(error: BaseException) -> BaseException:
    """Return an error that another process can raise; one that cannot travel is put into words."""
    text = "".join(traceback.format_exception(error))
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001 - whatever a class of errors does when it is copied
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error
