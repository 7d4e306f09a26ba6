"""Made logins: numbers and words tell an attack equally well, each of them poorly, and independently.

An attack comes earlier in the day on average, after more failures, and more of its words are odd ones.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

ODD = (
    "headless curl script probe wget bot crawler scanner raw libhttp batch unset masscan driver shell tunnel"
)
PLAIN = "gecko webkit mobile desktop phone tablet safari chrome edge firefox mac linux windows android retail home"
WORDS, ODD_IN_ATTACKS = 6, 0.63
"""Words of a login that tell, and the share of them that is odd in an attack; in others the rest is."""


def make(folder: Path, seed: int, rows: int = 3_000) -> Path:
    """Write made logins as JSON lines, every other one an attack."""
    rng = np.random.default_rng(seed)
    path = folder / "logins.jsonl"
    path.write_text("".join(json.dumps(login(i % 2 == 1, rng)) + "\n" for i in range(rows)))
    return path


def login(attack: bool, rng: np.random.Generator) -> dict[str, Any]:
    """Return one login as it stands in a file."""
    odd = rng.random(WORDS) < (ODD_IN_ATTACKS if attack else 1 - ODD_IN_ATTACKS)
    words = [str(rng.choice((ODD if one else PLAIN).split())) for one in odd]
    return {
        "hour": round(float(np.clip(rng.normal(9.5 if attack else 13.0, 4.0), 0, 23.9)), 2),
        "failures": int(rng.poisson(3.0 if attack else 1.7)),
        "agent": " ".join(f"{word}/{rng.integers(1, 40)}" for word in words),
        "attack": attack,
    }
