"""The word that follows each word, from a table. Imported by what serves it, not with the detector."""

import json
import time
from collections.abc import Callable, Iterator

from tocsin.core.errors import InputError
from tocsin.core.language import Limits
from tocsin.core.types import Files, Sample

TABLE = "bigrams.json"


class Bigrams:
    """Answers with the words that follow, until one has no follower; what it did is counted for the tests."""

    before: Callable[[str], None] | None = None
    """Called with the word before each piece."""
    made = 0
    begun = 0
    ended = 0
    """Streams that were asked for a word, and those that were read to the end or closed."""

    def __init__(self, table: dict[str, str]) -> None:
        self._table = table

    def stream(self, sample: Sample, limits: Limits) -> Iterator[str]:
        word = sample.model_dump()["word"]
        if word == "too long":
            raise InputError("more words than this model reads")
        type(self).begun += 1
        try:
            for _ in range(limits.tokens):
                if self.before is not None:
                    type(self).before(word)
                if word not in self._table:
                    return
                word = self._table[word]
                type(self).made += 1
                yield f" {word}"
        finally:
            type(self).ended += 1


def load(files: Files) -> Bigrams:
    try:
        return Bigrams(json.loads(files[TABLE]))
    except (KeyError, ValueError):
        raise InputError(f"{TABLE} is not a table of words") from None


def slow_by(seconds: float) -> None:
    """Make every word take longer, as a larger model would."""
    Bigrams.before = staticmethod(lambda _word: time.sleep(seconds))
