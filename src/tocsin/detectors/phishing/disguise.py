"""What senders do to a text so that a filter does not know it, and a reader still does.

Every disguise leaves the meaning: a legitimate message stays legitimate, and none is tied to a label.
"""

import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

LOOKALIKES = MappingProxyType(
    dict(zip("aceiopsxyhjkmtbvn", "асеіорѕхуһјкмтвѵп", strict=True))
    | dict(zip("ACEIOPSXYHKMTBN", "АСЕІОРЅХУНКМТВΝ", strict=True))
)
"""Latin letter -> one of another alphabet that looks alike."""
LEET = MappingProxyType(dict(zip("aeiostb", "4310578", strict=True)))
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
KEYS = "qwertyuiopasdfghjklzxcvbnm"

_HOST = re.compile(r"(?i)(https?://|www\.)([\w.-]+)")
_WORD = re.compile(r"\S+")

Disguise = Callable[[str, random.Random], str]


def swap_lookalikes(text: str, rng: random.Random) -> str:
    """Write some letters in another alphabet."""
    share = rng.uniform(0.05, 0.5)
    return "".join(LOOKALIKES.get(c, c) if rng.random() < share else c for c in text)


def add_zero_width(text: str, rng: random.Random) -> str:
    """Put characters without a width between letters."""
    share = rng.uniform(0.05, 0.4)
    return "".join(c + rng.choice(ZERO_WIDTH) if rng.random() < share else c for c in text)


def write_leet_links(text: str, rng: random.Random) -> str:
    """Write digits for letters in the hosts of links: paypa1."""

    def change(found: re.Match[str]) -> str:
        return found[1] + "".join(LEET.get(c, c) if rng.random() < 0.4 else c for c in found[2])

    return _HOST.sub(change, text)


def space_out(text: str, rng: random.Random) -> str:
    """Pull a few words a p a r t, or put more space between words."""

    def change(found: re.Match[str]) -> str:
        word, drawn = found[0], rng.random()
        if drawn < 0.08 and 3 < len(word) < 12 and word.isalpha():
            return " ".join(word)
        return word + " " * rng.randint(1, 3) if drawn > 0.9 else word

    return _WORD.sub(change, text)


def change_case(text: str, rng: random.Random) -> str:
    """Write all of it large, small, or by turns."""
    drawn = rng.random()
    if drawn < 0.34:
        return text.upper()
    if drawn < 0.67:
        return text.lower()
    return "".join(c.swapcase() if rng.random() < 0.2 else c for c in text)


def mistype(text: str, rng: random.Random) -> str:
    """Swap, drop, double or mistype a few characters, none of them in a link or a number."""
    share, out = rng.uniform(0.01, 0.06), []
    for word in text.split(" "):
        if not word.isalpha() or len(word) < 4 or rng.random() > share * len(word):
            out.append(word)
            continue
        place, drawn = rng.randrange(len(word) - 1), rng.randrange(4)
        middle = (
            word[place + 1] + word[place], "", word[place] * 2 + word[place + 1], rng.choice(KEYS) + word[place + 1]
        )[drawn]  # fmt: skip
        out.append(word[:place] + middle + word[place + (1 if not middle else 2) :])
    return " ".join(out)


def drop_words(text: str, rng: random.Random) -> str:
    """Leave out up to a fifth of the words, at least one stays."""
    share = rng.uniform(0.02, 0.2)
    words = _WORD.findall(text)
    kept = [word for word in words if rng.random() >= share]
    return " ".join(kept or words[:1]) or text


DISGUISES: Mapping[str, Disguise] = MappingProxyType(
    {
        "homoglyph": swap_lookalikes,
        "zero-width": add_zero_width,
        "leet links": write_leet_links,
        "spacing": space_out,
        "casing": change_case,
        "typing": mistype,
        "word dropout": drop_words,
    }
)


def disguise(text: str, rng: random.Random) -> str:
    """Apply one or two of the disguises; a text is never left empty."""
    for change in rng.sample(list(DISGUISES.values()), rng.randint(1, 2)):
        text = change(text, rng) or text
    return text
