"""Programs for a leader, and orders for a crew; a started process imports them by name.

It also bounds every collective: what hangs ends in minutes, and `engine.hasty` makes that seconds.
"""

import os
import signal
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from tocsin.core.errors import InputError
from tocsin.engine import crew as crews
from tocsin.engine.crew import Crew
from tocsin.engine.launch import Tell
from tocsin.engine.signals import listening

crews.PATIENCE = timedelta(minutes=5)


@dataclass
class Sum:
    """Add up the ranks; `trouble` is what happens on `rank` before the sum."""

    trouble: str = ""
    rank: int = 1
    lent: list[str] = field(default_factory=list)

    def __call__(self, crew: Crew) -> float:
        if crew.rank == self.rank:
            self.suffer()
        total = torch.tensor(float(crew.rank))
        distributed.all_reduce(total)
        return float(total)

    def suffer(self) -> None:
        if self.trouble == "refuse":
            raise InputError("this rank refuses")
        if self.trouble == "bug":
            raise ValueError("this rank has a bug")
        if self.trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "leave":
            os._exit(7)

    def lend(self) -> "Sum":
        self.lent.append("lent")
        return self


def add_up(orders: list[Sum], crew: Crew, tell: Tell) -> dict[str, object]:
    """Give the orders, and tell of each; what it returns says who did it."""
    sums = []
    for number, order in enumerate(orders):
        tell(f"order {number}")
        sums.append(crew.together(order) if crew.size > 1 else 0.0)
    return {"sums": sums, "rank": crew.rank, "size": crew.size, "pid": os.getpid()}


def refuse(crew: Crew, tell: Tell) -> None:
    crew.together(Sum())
    raise InputError("the leader refuses")


def wait_for_signal(crew: Crew, tell: Tell) -> str | None:
    """Listen as a fit does."""
    with listening() as heard:
        tell("ready")
        for _ in range(100):
            if heard.name:
                return heard.name
            time.sleep(0.1)
    return None


def wait_unprepared(crew: Crew, tell: Tell) -> None:
    tell("ready")
    time.sleep(20)


def keep_going(folder: str, crew: Crew, tell: Tell) -> None:
    """Write the ids of the processes, then wait for the end."""
    Path(folder, f"pid-{os.getpid()}").touch()
    crew.together(Linger(folder))


@dataclass
class Linger:
    folder: str

    def __call__(self, crew: Crew) -> None:
        Path(self.folder, f"pid-{os.getpid()}").touch()
        time.sleep(60)

    def lend(self) -> "Linger":
        return self
