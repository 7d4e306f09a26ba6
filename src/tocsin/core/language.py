"""Language models: what a detector with the runtime `chat` brings. A sample goes in, a text comes out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tocsin.core.types import Sample


@dataclass(frozen=True)
class Limits:
    """Where an answer ends although the model would go on."""

    tokens: int


class LanguageModel(Protocol):
    """What writes the answers of a detector. Its module may import torch; nothing in `serve` does.

    An example, with `Detector.answer = "package.echo:load"`, in the module `package.echo`:

        class Echo:
            def stream(self, sample, limits):
                yield from sample.question.split(" ")[: limits.tokens]

        def load(files):
            return Echo()
    """

    def stream(self, sample: Sample, limits: Limits) -> Iterator[str]:
        """Yield the most probable answer, one piece a token; the text is the pieces joined.

        The same sample gets the same pieces, whatever else is answered at that time. Several streams may be
        read at once, and each piece may be asked for by another thread. A generator is closed where nobody
        reads on. InputError where the sample does not fit, such as a text that is too long for the model.
        """
        ...


GOLDEN_LIMITS = Limits(tokens=64)
"""Golden answers are written under these limits when they are sealed, and again whenever they are replayed."""
