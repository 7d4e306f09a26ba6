"""One JSON document that holds the artifact, the counts and all targets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.writer import Piece, Writer


@dataclass
class Document(Writer):
    """Targets are kept until the end."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, scanned: Scanned) -> Iterable[Piece]:
        """Keep the target."""
        self.records.append(scanned.record())
        return ()

    def end(self) -> Iterable[Piece]:
        """Return the document."""
        document = {
            "artifact": self.scan.predictor.artifact.digest,
            "positive": self.scan.positive,
            "refused": self.scan.refused,
            "targets": self.records,
        }
        return (("document", document),)


WRITER = Document
