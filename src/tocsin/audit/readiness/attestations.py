"""What people state about an artifact: named, dated, bound to its digest, and never worth a whole point."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin.core.errors import InputError, did_you_mean

FORM = "ID=NAME:DATE:STATEMENT, such as M7=Ada Byron:2026-11-20:flows name no person"
_SHAPE = re.compile(r"([^=:]+)=([^:]+):\s*(\d{4}-\d{2}-\d{2})\s*:(.+)", re.DOTALL)


class Attestation(BaseModel):
    """One statement of one person about one line of one artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    name: str = Field(min_length=2, max_length=200)
    date: date
    statement: str = Field(min_length=10, max_length=2000)
    artifact: str = Field(description="digest of the artifact that it is about")


class Attestations(BaseModel):
    """The file beside an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    attestations: tuple[Attestation, ...] = ()


def parse_attestation(text: str, artifact: str, lines: Sequence[str], today: date) -> Attestation:
    """Read `ID=NAME:DATE:STATEMENT`; InputError says which part is wrong.

    lines: the ids that a person may speak for. A statement of tomorrow is refused.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise InputError(f"--attest {text[:80]!r}: write {FORM}")
    line, name, day, statement = (part.strip() for part in found.groups())
    if line not in lines:
        raise InputError(f"--attest {line}: there is no such line{did_you_mean(line, list(lines))}")
    try:
        made = Attestation.model_validate(
            {"line": line, "name": name, "date": day, "statement": statement, "artifact": artifact}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--attest {line}: {first['loc'][0]}: {first['msg']}") from None
    if made.date > today:
        raise InputError(f"--attest {line}: {made.date} lies ahead")
    return made


def parse_attestations(content: bytes, name: str) -> Attestations:
    """Read the file beside an artifact; InputError names it."""
    try:
        return Attestations.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{name}: {error.errors()[0]['msg']}") from None


def merge_attestations(old: Attestations, new: Iterable[Attestation]) -> Attestations:
    """Add statements; one of the same person about the same line of the same artifact takes the old one's place."""
    found = {(a.artifact, a.line, a.name): a for a in (*old.attestations, *new)}
    return Attestations(attestations=tuple(found[key] for key in sorted(found)))
