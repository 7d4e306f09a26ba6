"""One JSON object a line for each target."""

from collections.abc import Iterable

from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.writer import Piece, Writer


class Lines(Writer):
    """Targets are written as they come."""

    def add(self, scanned: Scanned) -> Iterable[Piece]:
        """Return the target with its verdict, or with its error."""
        return (("record", scanned.record()),)


WRITER = Lines
