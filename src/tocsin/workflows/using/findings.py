"""What a scan found, in the words of those who collect alarms: OCSF Detection Finding and ECS documents.

Source: schema.ocsf.io 1.4.0, class `detection_finding` (2004), objects `evidences` and `email`; the Elastic Common
Schema 8.17, field sets base, ecs, email, event, rule.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from tocsin import __version__
from tocsin.core.detector import Target
from tocsin.core.types import Verdict

OCSF_VERSION = "1.4.0"
"""The oldest that has `is_alert`; the documents hold in 1.5 to 1.8 as well."""
ECS_VERSION = "8.17.0"
EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
"""What OCSF takes for an address (`email_t`); mail has others."""
CATEGORIES = ("email", "network", "file", "process")
"""Field sets of ECS that are also categories of events."""


@dataclass(frozen=True)
class Finding:
    """One target and its verdict, or the reason why there is none."""

    target: Target
    verdict: Verdict | None
    reason: str = ""

    @property
    def name(self) -> str:
        """The place of the target in words: `inbox.mbox#12`."""
        return str(self.target.place)

    @property
    def uid(self) -> str:
        """A name that the same target under the same artifact has each time."""
        artifact = self.verdict.artifact if self.verdict else ""
        said = repr(sorted(self.target.fields.items(), key=lambda item: item[0]))
        return sha256(f"{artifact}\n{self.name}\n{said}".encode(errors="backslashreplace")).hexdigest()

    def sentence(self) -> str:
        """Say what was found."""
        assert self.verdict is not None  # only what was judged is reported
        return f"{self.verdict.label}: {self.name} (probability {self.verdict.probability:.4f})"

    def evidence(self) -> dict[str, Any]:
        """Return everything that speaks for the verdict."""
        assert self.verdict is not None  # only what was judged is reported
        return {
            "target": self.name,
            "verdict": self.verdict.model_dump(mode="json"),
            "remarks": list(self.target.remarks),
            "facts": self.target.facts,
        }


def ocsf_finding(finding: Finding, detector: str, now: datetime | None = None) -> dict[str, Any]:
    """Return an OCSF Detection Finding (class 2004, activity Create) about a positive target.

    The model does not grade severity: it is Medium throughout, and the probability is the confidence.
    """
    verdict, moment = finding.verdict, _milliseconds(now)
    assert verdict is not None  # only what was judged is reported
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
        "message": finding.sentence(),
        "finding_info": {
            "uid": finding.uid,
            "title": finding.sentence(),
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
            "version": OCSF_VERSION,
            "product": {"name": "tocsin", "vendor_name": "tocsin", "version": __version__},
        },
        "evidences": [{"data": finding.evidence(), **_ocsf_email(finding.target.ecs.get("email", {}))}],
    }


def _ocsf_email(said: dict[str, Any]) -> dict[str, Any]:
    """Return ECS's field set of a mail as OCSF's object, which there is none of without a proper sender."""
    sender = next(iter(said.get("from", {}).get("address", ())), "")
    if not EMAIL.fullmatch(sender):
        return {}
    others = {"subject": said.get("subject"), "message_uid": said.get("message_id")}
    return {"email": {"from": sender, **{key: value for key, value in others.items() if value}}}


def ecs_document(
    finding: Finding, detector: str, is_positive: bool, now: datetime | None = None
) -> dict[str, Any]:
    """Return an ECS document: an alert about a positive target, an event about any other."""
    verdict = finding.verdict
    assert verdict is not None  # only what was judged is reported
    categories = [name for name in CATEGORIES if name in finding.target.ecs]
    moment = datetime.fromtimestamp(_milliseconds(now) / 1000, UTC)
    return {
        "@timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ecs": {"version": ECS_VERSION},
        "message": finding.sentence(),
        "event": {
            "id": finding.uid,
            "kind": "alert" if is_positive else "event",
            "category": categories or ["threat"],
            "type": ["info"] if categories else ["indicator"],
            "module": "tocsin",
            "dataset": "tocsin.scan",
            "provider": "tocsin",
            "risk_score": round(100 * verdict.probability, 2),
        },
        "rule": {"name": detector, "id": verdict.artifact, "ruleset": "tocsin"},
        "tocsin": finding.evidence(),
        **finding.target.ecs,
    }


def _milliseconds(now: datetime | None) -> int:
    return int((now or datetime.now(UTC)).timestamp() * 1000)
