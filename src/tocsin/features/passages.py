"""Passages of a text, and a row without one of them: what evidence of a text is measured with."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tocsin.core.types import Arrays, Columns, Place

WORDS, MOST = 8, 40
"""Words of a passage, and how many passages evidence is looked for in."""
LONGEST_WORD, STEP = 40, 12
"""A longer word, or one in a script without spaces, is cut every STEP characters."""

_WORD = re.compile(r"[^\s]+")
_END = re.compile(r"[.!?;:。！？।؟\n]")


def passages(text: str, alone: re.Pattern[str] | None = None) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) in characters: up to 8 words, not beyond the end of a sentence.

    alone: words that are a passage of their own, such as links.
    """
    start, stop, count = 0, 0, 0
    for word in _words(text, alone):
        is_alone = alone is not None and alone.fullmatch(text, *word) is not None
        if count and (is_alone or count >= WORDS):
            yield start, stop
            count = 0
        start = start if count else word[0]
        stop, count = word[1], count + 1
        if is_alone or _END.search(text[stop - 1 : stop + 1]):
            yield start, stop
            count = 0
    if count:
        yield start, stop


def _words(text: str, alone: re.Pattern[str] | None) -> Iterator[tuple[int, int]]:
    """Yield the places of words; runs without a space, as in Chinese, are cut every 12 characters."""
    for match in _WORD.finditer(text):
        size = match.end() - match.start()
        is_long = size > LONGEST_WORD and not (alone and alone.fullmatch(match[0]))
        step = STEP if is_long or not match[0].isascii() else size
        for start in range(match.start(), match.end(), step):
            yield start, min(start + step, match.end())


def hide_passages(
    encode: Callable[[Columns], Arrays],
    columns: Columns,
    fields: Sequence[str],
    alone: re.Pattern[str] | None = None,
) -> Iterator[tuple[Place, Arrays]]:
    """Yield (passage, arrays without it) for the first 40 passages of the fields of one row."""
    read = [name for name in fields if name in columns and columns[name][0]]
    spans = [(name, *span) for name in read for span in passages(columns[name][0], alone)][:MOST]
    if not spans:
        return
    copies = {name: np.repeat(values, len(spans)) for name, values in columns.items()}
    for row, (name, start, stop) in enumerate(spans):
        value = columns[name][0]
        copies[name][row] = value[:start] + " " + value[stop:]
    arrays = encode(copies)
    for row, (name, start, stop) in enumerate(spans):
        place = Place(where=name, start=start, stop=stop)
        yield place, {key: values[row : row + 1] for key, values in arrays.items()}
