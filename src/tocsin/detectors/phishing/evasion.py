"""How much recall is lost when senders disguise what they send. Shapes: N texts."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tocsin.core.errors import InputError
from tocsin.detectors.phishing.disguise import (
    Disguise,
    add_zero_width,
    space_out,
    swap_lookalikes,
    write_leet_links,
)

Score = Callable[[Sequence[str]], np.ndarray]
"""N texts -> the probability of a positive, [N]."""
PADDED_WITH = 3
"""Legitimate messages that one is padded with."""


@dataclass(frozen=True)
class Loss:
    """What one disguise costs. Recalls are of the same positives at the same threshold."""

    rows: int
    recall: float
    disguised: float

    @property
    def lost(self) -> float:
        """Recall lost; below 0 where the disguise gives itself away."""
        return self.recall - self.disguised


def hide_in_markup(text: str, rng: random.Random) -> str:
    """Break words up with comments and empty tags, as HTML lets a sender do."""
    insert = ("<!-- {} -->", '<span style="display:none"></span>', "<b></b>")
    return "".join(
        c + rng.choice(insert).format(rng.randrange(1000)) if c.isalpha() and rng.random() < 0.15 else c
        for c in text
    )


def measure_evasion(
    score: Score, texts: Sequence[str], ham: Sequence[str], threshold: float, seed: int = 0
) -> dict[str, Loss]:
    """Return disguise -> loss over positive texts; `ham` are legitimate ones to pad with.

    InputError without texts or ham. Every text draws from a generator of its own, made from (seed, place).
    """
    if not texts or not ham:
        raise InputError("evasion is measured on positives, padded with legitimate messages: both are needed")
    before = float((score(texts) >= threshold).mean())
    found = {}
    for name, change in {**ATTACKS, "ham padding": _padding(ham)}.items():
        changed = [change(text, random.Random(f"{seed} {place}")) for place, text in enumerate(texts)]
        after = float((score(changed) >= threshold).mean())
        found[name] = Loss(len(texts), before, after)
    return found


def _padding(ham: Sequence[str]) -> Disguise:
    def pad(text: str, rng: random.Random) -> str:
        return "\n".join([text, *rng.choices(ham, k=PADDED_WITH)])

    return pad


ATTACKS: Mapping[str, Disguise] = MappingProxyType(
    {
        "homoglyph": swap_lookalikes,
        "zero-width": add_zero_width,
        "html hiding": hide_in_markup,
        "leet links": write_leet_links,
        "spacing": space_out,
    }
)
