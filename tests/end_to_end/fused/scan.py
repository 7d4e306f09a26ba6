"""A log of logins as targets: a JSON object on each line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tocsin.core.detector import Target
from tocsin.core.errors import InputError
from tocsin.core.types import Place


def read_logins(source: Path | BinaryIO) -> Iterator[Target]:
    """Yield each line; one that is no JSON object has no fields, and so gets no verdict."""
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
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        yield Target(Place(where=name, line=number), fields if isinstance(fields, dict) else {})
