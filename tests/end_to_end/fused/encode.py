"""Logins as arrays: scaled numbers, and a bag of hashed words.

Shapes: B logins.
"""

import json
import re
import zlib
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from tocsin.core.axes import Axes
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, Files, Place
from tocsin.features.passages import hide_passages

SCALES = "scales.json"
NUMBERS = ("hour", "failures")
BUCKETS = 256
WORD = re.compile(r"\w+")


class LoginEncoder:
    """`numbers` float32 [B, 2], 0 on average and of deviation 1; `words` float32 [B, 256], how often each is there."""

    axes: ClassVar[Axes] = {}

    def __init__(self, scales: tuple[tuple[float, float], ...] = ((0.0, 1.0),) * len(NUMBERS)) -> None:
        self.scales = scales

    def fit(self, columns: Columns) -> Self:
        numbers = [columns[name].astype(np.float64) for name in NUMBERS]
        return type(self)(tuple((float(one.mean()), float(one.std()) or 1.0) for one in numbers))

    def encode(self, columns: Columns) -> Arrays:
        scaled = [
            (columns[name].astype(np.float64) - middle) / deviation
            for name, (middle, deviation) in zip(NUMBERS, self.scales, strict=True)
        ]
        words = np.zeros((len(columns["agent"]), BUCKETS), dtype=np.float32)
        for row, agent in enumerate(columns["agent"]):
            np.add.at(words[row], [bucket_of(word) for word in WORD.findall(agent)], 1)
        return {"numbers": np.stack(scaled, axis=1).astype(np.float32), "words": words}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return the numbers, and how many words there are: what simple models see of a login."""
        count = arrays["words"].sum(axis=1, keepdims=True)
        return np.concatenate([arrays["numbers"], count], axis=1), [*NUMBERS, "words"], [False] * 3

    def texts(self, columns: Columns) -> list[str]:
        """Return what each program says that it is."""
        return list(columns["agent"])

    def hide(self, columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Make each number the usual one in turn, then leave out passages of the text."""
        for index, name in enumerate(NUMBERS):
            numbers = arrays["numbers"].copy()
            numbers[0, index] = 0
            yield Place(where=name), {**arrays, "numbers": numbers}
        yield from hide_passages(self.encode, columns, ("agent",))

    def watch(self, arrays: Arrays) -> Columns:
        numbers = {name: arrays["numbers"][:, i].astype(np.float64) for i, name in enumerate(NUMBERS)}
        return numbers | {"words": arrays["words"].sum(axis=1).astype(np.float64)}

    def save(self) -> Files:
        return {SCALES: json.dumps(self.scales).encode()}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files.keys() != {SCALES}:
            raise InputError(f"an encoder of logins is {SCALES}, not {', '.join(sorted(files)) or 'nothing'}")
        return cls(tuple((middle, deviation) for middle, deviation in json.loads(files[SCALES])))


def bucket_of(word: str) -> int:
    """Return the place of a word in the bag, the same in every process."""
    return zlib.crc32(word.lower().encode()) % BUCKETS
