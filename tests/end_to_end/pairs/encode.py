"""Pairs as arrays: the words of the criterion, then those of the text, and where each stands.

Shapes: B pairs, L words of the longest of them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from tocsin.core.axes import Axes, Axis
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, Files, Place

WORDS = "words.json"
WORD = re.compile(r"\w+|[^\w\s]")
CRITERION, TEXT = 0, 1
"""The segments."""
NOWHERE = -1
MOST, LEAST_SEEN, HIDDEN = 256, 2, 40
"""Words of a pair; times that a word is seen to be known; words of a text that are hidden in turn."""
PLACES = Axis("places", "length")


class PairEncoder:
    """`words`, `segment` int64 [B, L]; `characters` int64 [B, L, 2], from and to in the text; `length` int64 [B].

    Word 0 is any that training did not have.
    """

    axes: ClassVar[Axes] = {
        "words": (PLACES,), "segment": (PLACES,), "characters": (Axis("places", "length", pad=NOWHERE), 2)
    }  # fmt: skip

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self.known = known
        self._numbers = {word: number for number, word in enumerate(known, start=1)}

    def fit(self, columns: Columns) -> Self:
        seen = Counter(
            word for name in ("text", "criterion") for value in columns[name] for word, *_ in cut_words(value)
        )
        return type(self)(tuple(sorted(word for word, count in seen.items() if count >= LEAST_SEEN)))

    @property
    def size(self) -> int:
        """How many words there are, the unknown one among them."""
        return len(self.known) + 1

    def encode(self, columns: Columns) -> Arrays:
        pairs = [_join(*pair)[:MOST] for pair in zip(columns["criterion"], columns["text"], strict=True)]
        length = np.array([len(pair) for pair in pairs], dtype=np.int64)
        most = max(1, length.max(initial=1))
        words, segment = (np.zeros((len(pairs), most), dtype=np.int64) for _ in range(2))
        characters = np.full((len(pairs), most, 2), NOWHERE, dtype=np.int64)
        for row, pair in enumerate(pairs):
            own = slice(len(pair))
            words[row, own] = [self._numbers.get(word, 0) for _, word, *_ in pair]
            segment[row, own] = [part for part, *_ in pair]
            characters[row, own] = [place for *_, place in pair]
        return {"words": words, "segment": segment, "characters": characters, "length": length}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return how many words there are, and how many of the text's the criterion has too."""
        shared = [
            len(set(words[segment == TEXT]) & set(words[segment == CRITERION]))
            for words, segment in zip(arrays["words"], arrays["segment"], strict=True)
        ]
        return (
            np.stack([arrays["length"], shared], axis=1).astype(np.float32),
            ["words", "shared"],
            [False] * 2,
        )

    def hide(self, columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        """Make each word of the text unknown in turn."""
        for place in np.flatnonzero(arrays["characters"][0, :, 0] != NOWHERE)[:HIDDEN]:
            words = arrays["words"].copy()
            words[0, place] = 0
            yield place_of(*arrays["characters"][0, place].tolist()), {**arrays, "words": words}

    def watch(self, arrays: Arrays) -> Columns:
        inside = np.arange(arrays["words"].shape[1]) < arrays["length"][:, None]
        unknown = ((arrays["words"] == 0) & inside).sum(axis=1) / arrays["length"]
        return {"length": arrays["length"].astype(np.float64), "unknown": unknown}

    def save(self) -> Files:
        return {WORDS: json.dumps(self.known).encode()}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files.keys() != {WORDS}:
            raise InputError(f"an encoder of pairs is {WORDS}, not {', '.join(sorted(files)) or 'nothing'}")
        return cls(tuple(json.loads(files[WORDS])))


def cut_words(text: str) -> list[tuple[str, tuple[int, int]]]:
    """Return each word, in small letters, and where it stands in the text."""
    return [(match.group().lower(), match.span()) for match in WORD.finditer(text)]


def place_of(start: int, stop: int) -> Place:
    """Return a passage of the text."""
    return Place(where="text", start=start, stop=stop)


def mark_spans(spans: np.ndarray, characters: np.ndarray) -> np.ndarray:
    """Return int64 [B, L, 2]: 1 where a passage starts or ends with this word, 0 elsewhere in the text, else -1."""
    marks = np.where(characters == NOWHERE, -1, 0)
    for row, own in enumerate(spans):
        for side in range(2):
            marks[row, np.isin(characters[row, :, side], [span[side] for span in own]), side] = 1
    return marks


def read_spans(is_edge: np.ndarray) -> list[tuple[int, int]]:
    """Return (first word, last word) of each span of one row, bool [L, 2]: each start with the next end."""
    starts, ends = (np.flatnonzero(is_edge[:, side]).tolist() for side in range(2))
    found, behind = [], 0
    for start in starts:
        end = next((end for end in ends if end >= start), None)
        if end is not None and start >= behind:
            found.append((start, end))
            behind = end + 1
    return found


def _join(criterion: str, text: str) -> list[tuple[int, str, tuple[int, int]]]:
    asked = [(CRITERION, word, (NOWHERE, NOWHERE)) for word, _ in cut_words(criterion)]
    return asked + [(TEXT, word, place) for word, place in cut_words(text)]
