"""A text file as targets: one for each line `criterion: text`."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tocsin.core.detector import Target
from tocsin.core.errors import InputError
from tocsin.core.types import Place


def read_pairs(source: Path | BinaryIO) -> Iterator[Target]:
    """Yield each line that says anything; one without a colon asks nothing, and so gets no verdict."""
    if not isinstance(source, Path):
        yield from _targets("-", source)
        return
    try:
        with source.open("rb") as file:
            yield from _targets(str(source), file)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error


def _targets(name: str, file: BinaryIO) -> Iterator[Target]:
    for number, line in enumerate(file, start=1):
        criterion, colon, text = line.decode(errors="replace").strip().partition(": ")
        if criterion:
            fields = {"criterion": criterion, "text": text} if colon else {"text": criterion}
            yield Target(Place(where=name, line=number), fields)
