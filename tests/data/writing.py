"""Made texts, and what people and programs do to them."""

from collections.abc import Sequence

import numpy as np

OPENINGS = ("[EXTERNAL] ", "Fwd: ", "Dear customer,\n", "Hello,\n\n", "> ")
FOOTERS = (
    "\n\nThis message is confidential and intended only for the person named above. If it reached you in error, "
    "delete it and tell the sender. No responsibility is taken for viruses. Views are those of the author.",
    "\nSent from my phone",
    "\nTo stop getting these messages reply STOP. Terms apply.",
    "\n-- \nThe support team\nOpen Monday to Friday",
)


def vocabulary(rng: np.random.Generator, size: int = 3000) -> list[str]:
    """Return made words of two to four syllables."""
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    return ["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(size)]


def write(rng: np.random.Generator, words: Sequence[str], count: int, length: int = 30) -> list[str]:
    """Return texts of about so many words, in sentences of seven, words as frequent as in real text."""
    shares = 1 / np.arange(10, len(words) + 10)
    texts = []
    for _ in range(count):
        drawn = rng.choice(words, max(12, rng.poisson(length)), p=shares / shares.sum()).tolist()
        texts.append(" ".join(w if (i + 1) % 7 else f"{w}." for i, w in enumerate(drawn)))
    return texts


def edit(text: str, rng: np.random.Generator, share: float) -> str:
    """Replace letters here and there."""
    letters = list(text)
    for i in rng.choice(len(letters), max(1, int(share * len(letters))), replace=False):
        letters[i] = str(rng.choice(list("abcdefghij ")))
    return "".join(letters)


def wrap(text: str, rng: np.random.Generator) -> str:
    """Put a greeting before it and a footer behind it."""
    return str(rng.choice(OPENINGS)) + text + str(rng.choice(FOOTERS))


def copy(text: str, rng: np.random.Generator) -> str:
    """Return a near-duplicate: edited, in other letter case, in boilerplate, or all at once."""
    kind = rng.integers(4)
    if kind == 0:
        return edit(text, rng, float(rng.choice([0.005, 0.01, 0.02])))
    if kind == 1:
        return text.upper() if rng.random() < 0.5 else text.title()
    if kind == 2:
        return wrap(text, rng)
    return wrap(edit(text.upper(), rng, 0.01), rng)
