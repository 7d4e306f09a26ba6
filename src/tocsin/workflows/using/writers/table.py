"""Lines for people: the verdict on each target with its evidence, and the counts at the end."""

from collections.abc import Iterable, Iterator

from tocsin.core.types import Verdict
from tocsin.workflows.using.scanned import Scanned, printable
from tocsin.workflows.using.writer import Piece, Writer

SHOWN = 6
"""Remarks that are shown of a target that a person will look at; of the others, the first."""
LONGEST = 200
"""Characters of a line of evidence or remarks."""


class Table(Writer):
    """Targets are written as they come."""

    def add(self, scanned: Scanned) -> Iterator[Piece]:
        """Yield the verdict, what speaks for it, and what is notable about the target."""
        verdict = scanned.verdict
        if verdict is None:
            yield "note", scanned.complaint()
            return
        yield "line", f"{printable(scanned.name)}: {_say(verdict)}"
        for piece in verdict.evidence:
            value = printable(f"{piece.name}: {piece.value}" if piece.name != piece.value else piece.value)
            yield "line", f"    {piece.weight:+.2f}  {value[:LONGEST]}"
        is_looked_at = self.scan.is_positive(scanned) or verdict.abstain
        for remark in scanned.target.remarks[: SHOWN if is_looked_at else 1]:
            yield "line", f"       !  {printable(remark)[:LONGEST]}"

    def end(self) -> Iterable[Piece]:
        """Return the counts."""
        scan, label = self.scan, self.scan.predictor.artifact.manifest.calibrated.positive
        read = scan.targets - scan.refused
        return (("note", f"{read:,} scanned, {scan.positive:,} {label}, {scan.refused:,} refused"),)


def _say(verdict: Verdict) -> str:
    doubt = ", for a person to decide" if verdict.abstain else ""
    return f"{verdict.label} (p {verdict.probability:.4f}, threshold {verdict.threshold:.4f}{doubt})"


WRITER = Table
