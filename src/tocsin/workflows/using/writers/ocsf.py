"""OCSF Detection Findings, one a line for each positive target; what could not be read is told on stderr.

Source: schema.ocsf.io 1.4.0, class `detection_finding` (2004), objects `evidences` and `email`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tocsin import __version__
from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.writer import Piece, Writer

VERSION = "1.4.0"
"""The oldest that has `is_alert`; the documents hold in 1.5 to 1.8 as well."""
EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
"""What OCSF takes for an address (`email_t`); mail has others."""


class Ocsf(Writer):
    """Targets are written as they come."""

    def add(self, scanned: Scanned) -> Iterator[Piece]:
        """Yield a finding if the target is positive."""
        if self.scan.is_positive(scanned):
            yield "record", ocsf_finding(scanned, self.scan.predictor.detector.name)
        elif scanned.verdict is None:
            yield "note", scanned.complaint()


def ocsf_finding(scanned: Scanned, detector: str) -> dict[str, Any]:
    """Return an OCSF Detection Finding (class 2004, activity Create) about a positive target.

    The model does not grade severity: it is Medium throughout, and the probability is the confidence.
    """
    verdict, moment = scanned.verdict, int(datetime.now(UTC).timestamp() * 1000)
    assert verdict is not None  # only what has a verdict is reported
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200401,
        "type_name": "Detection Finding: Create",
        "time": moment,
        "severity_id": 3,
        "severity": "Medium",
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "confidence_score": round(100 * verdict.probability),
        "message": scanned.sentence(),
        "finding_info": {
            "uid": scanned.uid,
            "title": scanned.sentence(),
            "created_time": moment,
            "types": [verdict.label],
            "analytic": {
                "name": detector,
                "type": "Learning (ML/DL)",
                "type_id": 4,
                "uid": verdict.artifact,
            },
        },
        "metadata": {
            "version": VERSION,
            "product": {"name": "tocsin", "vendor_name": "tocsin", "version": __version__},
        },
        "evidences": [{"data": scanned.record(), **_email(scanned.target.ecs.get("email", {}))}],
    }


def _email(said: dict[str, Any]) -> dict[str, Any]:
    """Convert the `email` fields of ECS to OCSF's object; nothing if the sender is not a valid address."""
    sender = next(iter(said.get("from", {}).get("address", ())), "")
    if not EMAIL.fullmatch(sender):
        return {}
    others = {"subject": said.get("subject"), "message_uid": said.get("message_id")}
    return {"email": {"from": sender, **{key: value for key, value in others.items() if value}}}


WRITER = Ocsf
