"""One process leads: it runs the program, and the others fit beside it whenever it says so.

The leader alone reads, writes, tracks, judges and seals. The others wait for its word, do the orders that it
gives to all, and end as it ends. Words go through a store, so a wait of any length needs no timeout; orders and
results go through collectives, which have one.
"""

import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import structlog
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from tocsin.core.errors import InputError, ProcessLost, TocsinError, Told

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Done = TypeVar("Done", covariant=True)
PATIENCE = timedelta(minutes=30)
"""How long a process waits inside a collective for one that does not come."""
GRACE = 5.0
"""Seconds in which a process that failed waits for the leader to say why."""
POLL = 0.05
ORDER, DONE, FAILED = "order", "done", "failed"
_launches = itertools.count()
"""Every crew of a process has words of its own; all processes count alike."""


class Order(Protocol[Done]):
    """Work for every process at once."""

    def __call__(self, crew: "Crew") -> Done:
        """Do it; every process of the crew does at the same time."""
        ...

    def lend(self) -> "Order[Done]":
        """Return what the others are sent: an order that can be pickled."""
        ...


@dataclass(eq=False)
class Crew:
    """The processes that fit together; one process alone is its own leader.

    Example: `crew.together(order)` on the leader runs the order everywhere and returns the leader's result.
    """

    rank: int = 0
    size: int = 1
    beside: int = 1
    """Processes on this machine."""
    store: Any = None
    """Where words are left: torch's store."""
    _said: int = field(default=0, repr=False)

    @property
    def leads(self) -> bool:
        """Whether this is the process that reads, writes, tracks and judges."""
        return self.rank == 0

    def together(self, order: Order[Result]) -> Result:
        """Have every process do an order; called on the leader, returns its result."""
        if self.size > 1:
            self._say({"word": ORDER})
            self._share(order.lend())
        return order(self)

    def work(self, act: Callable[["Crew"], Result]) -> Result:
        """Run the program on the leader; the others fit beside it and return its result, or raise Told."""
        if self.size == 1:
            return act(self)
        return self._lead(act) if self.leads else self._follow()

    def check(self, devices: int) -> None:
        """Raise InputError unless so many processes a machine is what the recipe asks for."""
        if devices != self.beside or self.size % devices:
            raise InputError(
                f"compute.devices is {devices}, and {self.beside} of {self.size} processes run on this machine:"
                f" set compute.devices={self.beside}, or start {devices}"
            )

    def _lead(self, act: Callable[["Crew"], Result]) -> Result:
        try:
            result = act(self)
        except BaseException as error:
            self._give_up(error)
            if isinstance(error, Exception) and is_broken(error):
                raise lost() from error
            raise
        self._say({"word": DONE})
        try:
            self._share(result)
        except RuntimeError as error:
            log.warning("a process was lost after the work was done", error=str(error).partition("\n")[0])
        return result

    def _give_up(self, error: BaseException) -> None:
        """Say that it is over, and close the connections that the others may be waiting on."""
        with suppress(RuntimeError):  # the first error is the one to see
            self._say({"word": FAILED, "code": exit_code(error), "message": str(error)})
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def _follow(self) -> Any:
        while (said := self._hear())["word"] == ORDER:
            order = self._share(None)
            try:
                order(self)
            except Exception as error:
                raise self._explain(error) from error
        if said["word"] == FAILED:
            raise Told(said["message"], said["code"])
        return self._share(None)

    def _explain(self, error: Exception) -> Exception:
        """Return the leader's error where it has one: what broke here may only be what followed from it."""
        said = self._hear(GRACE)
        if said is not None and said["word"] == FAILED:
            return Told(said["message"], said["code"])
        return lost() if is_broken(error) else error

    def _say(self, word: dict[str, Any]) -> None:
        self.store.set(f"word-{self._said}", json.dumps(word))
        self._said += 1

    def _hear(self, patience: float = float("inf")) -> Any:
        """Return the leader's next word, or None if it says none in so many seconds."""
        key, until = f"word-{self._said}", time.monotonic() + patience
        while not self.store.check([key]):
            if time.monotonic() > until:
                return None
            time.sleep(POLL)
        self._said += 1
        return json.loads(self.store.get(key))

    def _share(self, value: Any) -> Any:
        """Give the leader's value to everyone."""
        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]


ALONE = Crew()


def leads() -> bool:
    """Tell whether this process leads, of those that torchrun, SLURM or Ray Train started."""
    place = find_place()
    return place is None or place["RANK"] == "0"


def find_place() -> dict[str, str] | None:
    """Return the environment in which torchrun, SLURM or Ray Train started this process beside others, or None."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if all(name in os.environ for name in names):
        found = {name: os.environ[name] for name in names}
    elif "SLURM_STEP_NUM_TASKS" in os.environ:
        found = _place_in_slurm()
    else:
        return None
    return found if int(found["WORLD_SIZE"]) > 1 else None


def _place_in_slurm() -> dict[str, str]:
    slurm, given = SLURMEnvironment(), os.environ
    return {
        "RANK": given["SLURM_PROCID"],
        "LOCAL_RANK": given["SLURM_LOCALID"],
        "GROUP_RANK": given["SLURM_NODEID"],
        "WORLD_SIZE": given["SLURM_STEP_NUM_TASKS"],
        "LOCAL_WORLD_SIZE": given["SLURM_STEP_TASKS_PER_NODE"].partition("(")[0].partition(",")[0],
        "MASTER_ADDR": slurm.main_address,
        "MASTER_PORT": str(slurm.main_port),
    }


@contextmanager
def joined(place: dict[str, str]) -> Iterator[Crew]:
    """Meet the other processes; the connections are closed again, unless somebody else had opened them."""
    os.environ |= place
    rank = int(place["RANK"])
    if rank:
        logging.getLogger().setLevel(logging.ERROR)
        structlog.contextvars.bind_contextvars(rank=rank)
    is_ours = not distributed.is_initialized()
    if is_ours:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Crew(rank, int(place["WORLD_SIZE"]), int(place["LOCAL_WORLD_SIZE"]), _words(place))
    finally:
        if is_ours and distributed.is_initialized():
            distributed.destroy_process_group()


def _words(place: dict[str, str]) -> Any:
    """Return the store of words; what an earlier try of torchrun's left in it is not read."""
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    port, wait = int(place["MASTER_PORT"]), timedelta(minutes=1)
    store = TCPStore(place["MASTER_ADDR"], port, is_master=False, wait_for_workers=False, timeout=wait)
    return PrefixStore(f"tocsin-{attempt}-{next(_launches)}", store)


def is_broken(error: BaseException) -> bool:
    """Tell whether an error means that another process is gone."""
    if isinstance(error, ProcessLost | distributed.DistError):
        return True
    signs = ("gloo/transport", "Connection closed by peer", "NCCL communicator was aborted")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def lost(what: str = "another process of this job was lost") -> ProcessLost:
    """Return the error that says which process was lost, and the way on."""
    return ProcessLost(f"{what}: the checkpoints are whole; run again with --resume")


def exit_code(error: BaseException) -> int:
    """Return the code that the program ends with after an error."""
    if isinstance(error, TocsinError):
        return error.exit_code
    return InputError.exit_code if isinstance(error, OSError) else 1
