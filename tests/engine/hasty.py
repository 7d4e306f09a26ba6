"""A program and an order in processes whose collectives wait for seconds only."""

import time
from dataclasses import dataclass
from datetime import timedelta

from engine.crews import Sum
from tocsin.engine import crew as crews
from tocsin.engine.crew import Crew
from tocsin.engine.launch import Tell

PATIENCE = 5.0
crews.PATIENCE = timedelta(seconds=PATIENCE)


def think(crew: Crew, tell: Tell) -> float:
    """Let the others wait for longer than any collective would."""
    first = crew.together(Sum())
    time.sleep(2 * PATIENCE)
    return first + crew.together(Sum())


@dataclass
class Dawdle(Sum):
    """Come to the sum when the other has left."""

    def suffer(self) -> None:
        time.sleep(2 * PATIENCE)


def dawdle(crew: Crew, tell: Tell) -> float:
    return crew.together(Dawdle())
