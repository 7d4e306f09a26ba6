"""The readiness scorecard: what a line is, how lines add up, and when an artifact is ready.

A section's score is the sum of its lines, the final score the least of the four sections. Gates and the source
systems' own criteria stand beside the sections: they add nothing, and what fails among them still stops a
promotion.
Source: Breck et al. 2017, "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt
Reduction", section VI.
"""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from tocsin.core.types import Frozen

Status = Literal["passed", "failed", "not yet", "attested"]
Section = Literal["data", "model", "infrastructure", "monitoring", "gates", "criteria"]

SECTIONS: tuple[Section, ...] = ("data", "model", "infrastructure", "monitoring")
"""The sections that are summed."""

BAR = 2.0
"""What a healthy artifact reaches today with nothing but itself and `tocsin ready ARTIFACT`."""

ATTESTED = 0.5
BANDS = (
    (0.0, "more of a research project than a product"),
    (1.0, "not totally untested, but serious holes are possible"),
    (2.0, "a first pass at what production needs; more is worth doing"),
    (3.0, "reasonably tested; more of it could be automatic"),
    (5.0, "strong automated testing and monitoring, fit for critical systems"),
)
"""Highest score of a band -> its name; above the last it is exceptional."""
EXCEPTIONAL = "exceptional automated testing and monitoring"


class EvidenceFile(Frozen):
    """A file that shows it."""

    file: str = Field(
        description="`artifact/...` is sealed with the artifact, else a path beside the scorecard"
    )
    sha256: str


class Line(Frozen):
    """One test, gate or criterion."""

    id: str
    section: Section
    title: str
    status: Status
    score: float = Field(description="0, 0.5 or 1")
    message: str = Field(description="what was found, or what is missing")
    facts: dict[str, object] = Field(default_factory=dict, description="the numbers that decided")
    evidence: tuple[EvidenceFile, ...] = ()
    command: str = Field(description="what makes this line again")
    duration_seconds: float
    commit: str | None = Field(description="of the code that made this line")

    @model_validator(mode="after")
    def _earned(self) -> Self:
        allowed = {"passed": (0.5, 1.0), "attested": (ATTESTED,)}.get(self.status, (0.0,))
        if self.score not in allowed:
            raise ValueError(f"{self.id}: a line that is {self.status!r} cannot score {self.score}")
        return self


class Scorecard(Frozen):
    """`scorecard.json`. Sums and band are computed from the lines; others are refused."""

    schema_version: Literal[1] = 1
    detector: str
    name: str
    artifact: str | None = Field(
        description="digest of the artifact; null in the one that is sealed inside it"
    )
    created_at: str = Field(description="UTC, ISO 8601")
    lines: tuple[Line, ...]
    sections: dict[Section, float]
    final: float
    band: str

    @model_validator(mode="after")
    def _computed(self) -> Self:
        sections = sum_sections(self.lines)
        if (self.sections, self.final, self.band) != (sections, *conclude_sections(sections)):
            raise ValueError("the sums of the scorecard are not those of its lines")
        return self


def make_scorecard(
    lines: Iterable[Line], *, detector: str, name: str, artifact: str | None, created_at: str
) -> Scorecard:
    """Add lines up to a scorecard."""
    found = tuple(lines)
    sections = sum_sections(found)
    final, band = conclude_sections(sections)
    return Scorecard(
        detector=detector,
        name=name,
        artifact=artifact,
        created_at=created_at,
        lines=found,
        sections=sections,
        final=final,
        band=band,
    )


def sum_sections(lines: Iterable[Line]) -> dict[Section, float]:
    """Return section -> sum of its scores, for the four sections."""
    found = list(lines)
    return {section: sum(line.score for line in found if line.section == section) for section in SECTIONS}


def conclude_sections(sections: dict[Section, float]) -> tuple[float, str]:
    """Return the final score, which is that of the weakest section, and the name of its band."""
    final = min(sections.values())
    return final, next((name for highest, name in BANDS if final <= highest), EXCEPTIONAL)


def find_shortfalls(card: Scorecard, bar: float) -> tuple[str, ...]:
    """Say what keeps an artifact from being ready, one sentence each; empty where it is.

    Below the bar: each section that is, with what it lacks. At any bar above 0: each line that failed.
    A bar of 0 asks for nothing.
    """
    if bar <= 0:
        return ()
    failed = [f"{line.id} {line.title}: {line.message}" for line in card.lines if line.status == "failed"]
    low = [name for name in SECTIONS if card.sections[name] < bar]
    return (*failed, *(_lack(card, name, bar) for name in low))


def _lack(card: Scorecard, section: Section, bar: float) -> str:
    open_lines = [line.id for line in card.lines if line.section == section and line.status == "not yet"]
    missing = f"; not yet: {', '.join(open_lines)}" if open_lines else ""
    return f"section {section} scores {card.sections[section]:g}, below the bar of {bar:g}{missing}"
