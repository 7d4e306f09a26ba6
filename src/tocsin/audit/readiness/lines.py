"""Run the executors over what is known, and make the lines of the scorecard."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter

from tocsin.audit.gates import Gate
from tocsin.audit.readiness import data, infrastructure, model, monitoring, promises
from tocsin.audit.readiness.attestations import Attestation
from tocsin.audit.readiness.facts import EVIDENCE, SEALED, Answer, Check, Known
from tocsin.audit.readiness.gates import show_gates
from tocsin.audit.scorecard import ATTESTED, EvidenceFile, Line, Section
from tocsin.core.durable import json_bytes, jsonable

TESTS: Mapping[Section, tuple[Check, ...]] = {
    "data": data.CHECKS,
    "model": model.CHECKS,
    "infrastructure": infrastructure.CHECKS,
    "monitoring": monitoring.CHECKS,
}
"""The 28 tests."""

ATTESTABLE = tuple(check.id for checks in TESTS.values() for check in checks)
"""Lines that a person may speak for: no gate and no criterion."""


@dataclass(frozen=True)
class Making:
    """How the lines are made."""

    command: str
    commit: str | None
    """Of the code that runs the executors."""
    gates: Iterable[Gate] = ()
    attestations: Sequence[Attestation] = ()
    attested: EvidenceFile | None = None
    """The file that holds the attestations."""


def make_lines(known: Known, making: Making) -> tuple[Line, ...]:
    """Decide every line: the 28 tests, the ten gates, the criteria."""
    gates: tuple[Section, tuple[Check, ...]] = ("gates", show_gates(making.gates))
    extra: tuple[Section, tuple[Check, ...]] = ("criteria", promises.CHECKS)
    groups = (*TESTS.items(), gates, extra)
    return tuple(
        _attest(_make(known, check, section, making), making)
        for section, checks in groups
        for check in checks
    )


def _make(known: Known, check: Check, section: Section, making: Making) -> Line:
    start = perf_counter()
    answer = check.execute(known)
    seconds = perf_counter() - start
    measured = [known.measured[topic].seconds for topic in answer.sources if topic in known.measured]
    return Line(
        id=check.id,
        section=section,
        title=check.title,
        status=answer.status,
        score=answer.score,
        message=answer.message,
        facts=jsonable(answer.facts),
        evidence=tuple(_evidence(known, answer)),
        command=making.command,
        duration_seconds=round(seconds + sum(measured), 6),
        commit=making.commit,
    )


def _evidence(known: Known, answer: Answer) -> Iterator[EvidenceFile]:
    for source in answer.sources:
        if source in known.measured:
            content = evidence_bytes(known, source)
            yield EvidenceFile(file=f"{EVIDENCE}{source}.json", sha256=sha256(content).hexdigest())
        elif source in known.files:
            yield EvidenceFile(file=SEALED + source, sha256=sha256(known.files[source]).hexdigest())


def evidence_bytes(known: Known, topic: str) -> bytes:
    """Return the evidence file about a topic."""
    return json_bytes(known.measured[topic].facts)


def _attest(line: Line, making: Making) -> Line:
    """Let a person speak for a line that nothing else shows; what failed stays failed."""
    spoken = [a for a in making.attestations if a.line == line.id]
    if line.status != "not yet" or not spoken or making.attested is None:
        return line
    last = max(spoken, key=lambda a: a.date)
    words = f"{last.name}, {last.date}: {last.statement}"
    change = {"status": "attested", "score": ATTESTED, "message": words, "evidence": (making.attested,)}
    return Line.model_validate(line.model_dump() | change)
