"""Documents of the Elastic Common Schema, one a line for each target; what could not be read is told on stderr.

Source: the Elastic Common Schema 8.17, field sets base, ecs, email, event, rule.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.writer import Piece, Writer

VERSION = "8.17.0"
CATEGORIES = ("email", "network", "file", "process")
"""Field sets that are also categories of events."""


class Ecs(Writer):
    """Targets are written as they come."""

    def add(self, scanned: Scanned) -> Iterator[Piece]:
        """Yield an alert if the target is positive, else an event."""
        if scanned.verdict is None:
            yield "note", scanned.complaint()
        else:
            detector = self.scan.predictor.detector.name
            yield "record", ecs_document(scanned, detector, self.scan.is_positive(scanned))


def ecs_document(scanned: Scanned, detector: str, is_positive: bool) -> dict[str, Any]:
    """Return an ECS document: an alert about a positive target, an event about any other."""
    verdict = scanned.verdict
    assert verdict is not None  # only what has a verdict is reported
    categories = [name for name in CATEGORIES if name in scanned.target.ecs]
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {
        "@timestamp": moment.replace("+00:00", "Z"),
        "ecs": {"version": VERSION},
        "message": scanned.sentence(),
        "event": {
            "id": scanned.uid,
            "kind": "alert" if is_positive else "event",
            "category": categories or ["threat"],
            "type": ["info"] if categories else ["indicator"],
            "module": "tocsin",
            "dataset": "tocsin.scan",
            "provider": "tocsin",
            "risk_score": round(100 * verdict.probability, 2),
        },
        "rule": {"name": detector, "id": verdict.artifact, "ruleset": "tocsin"},
        "tocsin": scanned.record(),
        **scanned.target.ecs,
    }


WRITER = Ecs
