"""Raw files in, verdicts with their evidence out: the detector says how they are read."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import ValidationError

from tocsin.core.detector import Target
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.plugins import resolve
from tocsin.core.types import Place, Sample, Verdict
from tocsin.serve.predictor import Predictor
from tocsin.workflows.using.findings import Finding, ecs_document, ocsf_finding
from tocsin.workflows.using.stores import Source

STDIN = "-"
CHUNK = 64
"""Targets that are held at once: a mailbox of any length takes bounded memory."""
SHOWN = 6
"""Remarks that the table shows of a target that a person will look at; of the others it shows the worst."""

Reader = Callable[[Path | BinaryIO], Iterator[Target]]
Printed = Iterator[tuple[str, Any]]
"""(record | line | note, what to print): records and lines are results, notes are for people."""


@dataclass
class Scan:
    """One scan: what is read, with which artifact, and how it went so far."""

    source: Source
    names: list[str]
    explain: int = 0
    stdin: BinaryIO | None = None
    """What `-` reads; standard input where None."""
    targets: int = 0
    positive: int = 0
    refused: int = 0

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded artifact."""
        return self.source.predictor()

    @cached_property
    def reader(self) -> Reader:
        """The detector's reader of raw targets; InputError where it has none."""
        detector = self.predictor.detector
        if detector.scan is None:
            raise InputError(f"detector {detector.name!r} reads no raw files: use `tocsin predict` on tables")
        return cast(Reader, resolve(detector.scan))

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each target in its order; what cannot be read is one with a reason and no verdict."""
        targets = self._read()
        while chunk := list(islice(targets, CHUNK)):
            yield from self._judge(chunk)

    def document(self, findings: Iterable[Finding]) -> dict[str, Any]:
        """Return the whole result as one value."""
        records = [record(finding) for finding in findings]
        return {
            "artifact": self.predictor.artifact.digest,
            "positive": self.positive,
            "refused": self.refused,
            "targets": records,
        }

    def _read(self) -> Iterator[Target | Finding]:
        read = self.reader
        for name in self.names:
            source = (self.stdin or sys.stdin.buffer) if name == STDIN else Path(name)
            try:
                yield from read(source)
            except InputError as error:
                yield Finding(Target(Place(where=name), {}), None, str(error))

    def _judge(self, chunk: list[Target | Finding]) -> Iterator[Finding]:
        found = [item if isinstance(item, Finding) else self._sample(item) for item in chunk]
        samples = [item for item in found if isinstance(item, Sample)]
        verdicts = iter(self.predictor.predict(samples, 0))
        for item, result in zip(chunk, found, strict=True):
            finding = result if isinstance(result, Finding) else self._explained(item, result, next(verdicts))
            self.targets += 1
            self.refused += finding.verdict is None
            self.positive += self.is_positive(finding)
            yield finding

    def _sample(self, target: Target) -> Sample | Finding:
        """Return the sample; keys that it does not have, such as what only groups rows, are left out."""
        kind = self.predictor.schema.sample
        fields = {name: value for name, value in target.fields.items() if name in kind.model_fields}
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return Finding(target, None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    def _explained(self, target: Any, sample: Sample, verdict: Verdict) -> Finding:
        """Evidence costs many runs of the model: it is looked for where somebody will read it."""
        finding = Finding(target, verdict)
        if self.explain and (self.is_positive(finding) or verdict.abstain):
            return Finding(target, self.predictor.predict([sample], self.explain)[0])
        return finding

    def is_positive(self, finding: Finding) -> bool:
        """Tell whether a finding is an alarm."""
        label = self.predictor.artifact.manifest.calibration.positive
        return finding.verdict is not None and finding.verdict.label == label


def check_format(name: str) -> None:
    """Refuse an unknown format before anything is loaded."""
    if name not in FORMATS:
        known = list(FORMATS)
        raise InputError(f"no format {name!r}{did_you_mean(name, known)} (there are: {', '.join(known)})")


def record(finding: Finding) -> dict[str, Any]:
    """Return a finding as one JSON object."""
    if finding.verdict is None:
        return {"target": finding.name, "error": finding.reason}
    return {
        "target": finding.name,
        "verdict": finding.verdict.model_dump(mode="json"),
        "remarks": list(finding.target.remarks),
        "facts": finding.target.facts,
    }


def _table(run: Scan, findings: Iterable[Finding]) -> Printed:
    for finding in findings:
        name, verdict = _printable(finding.name), finding.verdict
        if verdict is None:
            yield "note", f"{name}: {finding.reason}"
            continue
        doubt = ", for a person to decide" if verdict.abstain else ""
        yield (
            "line",
            f"{name}: {verdict.label} (p {verdict.probability:.4f}, threshold {verdict.threshold:.4f}{doubt})",
        )
        for piece in verdict.evidence:
            value = _printable(f"{piece.name}: {piece.value}" if piece.name != piece.value else piece.value)
            yield "line", f"    {piece.weight:+.2f}  {value[:200]}"
        is_looked_at = run.is_positive(finding) or verdict.abstain
        for remark in finding.target.remarks[: SHOWN if is_looked_at else 1]:
            yield "line", f"       !  {_printable(remark)[:200]}"
    label = run.predictor.artifact.manifest.calibration.positive
    yield "note", f"{run.targets - run.refused:,} scanned, {run.positive:,} {label}, {run.refused:,} refused"


def _printable(text: str) -> str:
    """Replace what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _jsonl(_run: Scan, findings: Iterable[Finding]) -> Printed:
    for finding in findings:
        yield "record", record(finding)


def _ocsf(run: Scan, findings: Iterable[Finding]) -> Printed:
    """Only what was found is a finding; what could not be read is told on stderr."""
    for finding in findings:
        if run.is_positive(finding):
            yield "record", ocsf_finding(finding, run.predictor.detector.name)
        elif finding.verdict is None:
            yield "note", f"{_printable(finding.name)}: {finding.reason}"


def _ecs(run: Scan, findings: Iterable[Finding]) -> Printed:
    for finding in findings:
        if finding.verdict is None:
            yield "note", f"{_printable(finding.name)}: {finding.reason}"
        else:
            yield "record", ecs_document(finding, run.predictor.detector.name, run.is_positive(finding))


FORMATS: dict[str, Callable[[Scan, Iterable[Finding]], Printed]] = {
    "table": _table,
    "jsonl": _jsonl,
    "ocsf": _ocsf,
    "ecs": _ecs,
}
