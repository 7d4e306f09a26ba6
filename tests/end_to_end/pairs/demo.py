"""Made pairs: neither the text nor the criterion tells the label, only both together.

Each text holds passages about two of four matters. The criterion asks about one of the two, or about another.
"""

import json
import random
from pathlib import Path
from typing import Any

MATTERS = {
    "money": "coin price invoice wallet salary refund ledger budget",
    "weather": "rain thunder breeze cloud frost sunshine drizzle fog",
    "food": "bread soup pepper lentils butter noodles cheese apple",
    "travel": "train harbour ticket suitcase border bridge hotel pilot",
}
FILLERS = (
    "the", "and", "they", "we", "saw", "then", "again", "some", "of", "it", "was", "there", "with", "others", "today",
)  # fmt: skip
ASKS = ("Does the writer mention {}?", "Find every passage about {}.")


def make(folder: Path, seed: int, rows: int = 2_400) -> Path:
    """Write made pairs as JSON lines, every other one positive."""
    rng = random.Random(seed)
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair(i % 2 == 1, rng)) + "\n" for i in range(rows)))
    return path


def pair(meets: bool, rng: random.Random) -> dict[str, Any]:
    """Return one pair as it stands in a file."""
    matters = rng.sample(sorted(MATTERS), 3)
    asked = matters[0] if meets else matters[2]
    text, spans = "", []
    for matter in rng.choices(matters[:2], k=rng.randint(0, 2)) + matters[:2]:
        text += " ".join(rng.choices(FILLERS, k=rng.randint(2, 8))) + " "
        passage = " ".join(rng.sample(MATTERS[matter].split(), rng.randint(1, 3)))
        if matter == asked:
            spans.append((len(text), len(text) + len(passage)))
        text += passage + rng.choice([" ", ", ", ". "])
    text += rng.choice(FILLERS) + "."
    return {"text": text, "criterion": rng.choice(ASKS).format(asked), "meets": meets, "spans": spans}
