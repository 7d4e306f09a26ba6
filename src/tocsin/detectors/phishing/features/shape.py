"""The shape of a message: thirteen numbers that say what it looks like without reading it."""

import re

import numpy as np

from tocsin.detectors.phishing.features.folding import ADDRESSES, LINKS, shorten_shown

SHAPE = (
    "characters", "links", "addresses", "digits", "longest_number", "capitals", "exclamations", "questions",
    "currency", "lines", "not_ascii", "other_signs", "mean_word",
)  # fmt: skip
"""The numbers, counts as log(1 + n), shares of the characters in [0, 1]."""
LONGEST = 8192
"""Characters that are measured: the beginning and the end."""

_OTHER = re.compile(r"[^\w\s]|_")
_NUMBER = re.compile(r"\d[\d .,/-]*")


def measure_shape(text: str) -> tuple[float, ...]:
    """Return the numbers of SHAPE, not scaled."""
    text = shorten_shown(text, LONGEST)
    links, numbers = LINKS.findall(text), _NUMBER.findall(text)
    size = max(1, len(text))
    letters = max(1, sum(map(str.isalpha, text)))
    counts = (len(text), len(links), len(ADDRESSES.findall(text)) if "@" in text else 0)
    signs = (text.count("!") + text.count("！"), text.count("?") + text.count("？"))
    money = sum(text.count(sign) for sign in "$£€¥₦₹%")
    log = np.log1p(
        [
            *counts,
            max(map(len, numbers), default=0),
            *signs,
            money,
            text.count("\n"),
            size / (text.count(" ") + 1),
        ]
    ).tolist()
    return (
        *log[:3],
        sum(map(str.isdigit, text)) / size,
        log[3],
        sum(map(str.isupper, text)) / letters,
        *log[4:8],
        0.0 if text.isascii() else 1 - sum(map(str.isascii, text)) / size,
        len(_OTHER.findall(text)) / size,
        log[8],
    )
