"""The beginning and the end of what is too long to be read whole."""

from collections.abc import Sequence
from typing import TypeVar

HEAD = 0.75
"""Share of the places that the beginning gets; the end gets the rest."""

Item = TypeVar("Item")


def shorten(text: str, most: int) -> str:
    """Return at most so many characters: the beginning, a space and the end of a text that is too long."""
    if len(text) <= most:
        return text
    head = int(HEAD * most)
    return text[:head] + " " + text[len(text) - (most - head - 1) :]


def keep_ends(items: list[Item], most: int) -> list[Item]:
    """Return at most so many items: the first and the last ones."""
    if len(items) <= most:
        return items
    head = int(HEAD * most)
    return items[:head] + items[len(items) - (most - head) :]


def share_places(sizes: Sequence[int], places: int) -> list[int]:
    """Return how many places each part gets: equally many, and what a small part leaves goes to the others.

    Example: `share_places((50, 2, 90), 60) == [29, 2, 29]`.
    """
    found = [0] * len(sizes)
    rising = sorted(range(len(sizes)), key=sizes.__getitem__)
    for done, part in enumerate(rising):
        found[part] = min(sizes[part], places // (len(sizes) - done))
        places -= found[part]
    return found
