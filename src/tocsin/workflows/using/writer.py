"""How the results of a scan are written: a beginning, an addition for each target, and an end.

A format is found by its file: `writers/<name>.py` holds `WRITER`. Nothing else names it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.found import files_of
from tocsin.workflows.using.scan import Scan
from tocsin.workflows.using.scanned import Scanned

WRITERS = "tocsin.workflows.using.writers"

Piece = tuple[Literal["document", "record", "line", "note"], Any]
"""What to print: one JSON document, a JSON value on a line of its own, a line of text, or a note for people."""


@dataclass
class Writer(ABC):
    """One way to write results. Each method returns what can be printed by now.

    Example: a format that is one document keeps what is added, and returns it all at the end (`writers/json.py`).
    """

    scan: Scan

    def begin(self) -> Iterable[Piece]:
        """Return what stands before the first target: nothing, if a format does not say otherwise."""
        return ()

    @abstractmethod
    def add(self, scanned: Scanned) -> Iterable[Piece]:
        """Return what is printed when a target has its answer."""

    def end(self) -> Iterable[Piece]:
        """Return what stands behind the last target, when the scan has counted them: nothing, as above."""
        return ()


def load_writer(name: str) -> type[Writer]:
    """Return the writer of a format; InputError names the nearest format when there is none."""
    known = files_of(WRITERS)
    if name not in known:
        raise InputError(
            f"no format {name!r}{did_you_mean(name, list(known))} (there are: {', '.join(known)})"
        )
    found: type[Writer] = import_module(known[name]).WRITER
    return found


def write(writer: Writer, results: Iterable[Scanned]) -> Iterator[Piece]:
    """Yield what is to be printed, as soon as it can be."""
    yield from writer.begin()
    for scanned in results:
        yield from writer.add(scanned)
    yield from writer.end()
