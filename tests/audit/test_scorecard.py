"""The rules of the scorecard: sums, the weakest section, bands, what keeps an artifact back; statements of people."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from tocsin.audit.readiness.attestations import (
    Attestation,
    Attestations,
    merge_attestations,
    parse_attestation,
    parse_attestations,
)
from tocsin.audit.readiness.facts import Check, failed, not_yet, passed
from tocsin.audit.readiness.lines import ATTESTABLE, Making, _attest, _make
from tocsin.audit.scorecard import (
    EXCEPTIONAL,
    SECTIONS,
    EvidenceFile,
    Line,
    Scorecard,
    conclude_sections,
    find_shortfalls,
    make_scorecard,
)
from tocsin.core.errors import InputError

TODAY = date(2026, 11, 21)
DIGEST = "d" * 64


def line(section: str, status: str, score: float, name: str = "D1") -> Line:
    return Line(
        id=name, section=section, title="a line", status=status, score=score, message="why", command="tocsin ready",
        duration_seconds=0.0, commit=None,
    )  # fmt: skip


def card(*lines: Line) -> Scorecard:
    return make_scorecard(
        lines, detector="d", name="n", artifact=None, created_at="2026-11-21T00:00:00+00:00"
    )


def full(**counts: int) -> Scorecard:
    """So many passed lines in each section, three where nothing is said."""
    return card(*(line(s, "passed", 1.0) for s in SECTIONS for _ in range(counts.get(s, 3))))


def test_the_weakest_section_is_the_score() -> None:
    assert full(data=7, model=2, infrastructure=5, monitoring=6).final == 2
    assert full(monitoring=0).final == 0
    assert card(line("gates", "passed", 1.0), line("criteria", "passed", 1.0)).sections == dict.fromkeys(
        SECTIONS, 0
    )


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.0, "research project"), (0.5, "serious holes"), (1.0, "serious holes"), (1.5, "first pass"),
        (2.0, "first pass"), (2.5, "reasonably"), (3.0, "reasonably"), (3.5, "strong"), (5.0, "strong"),
        (5.5, EXCEPTIONAL), (7.0, EXCEPTIONAL),
    ],
)  # fmt: skip
def test_bands_end_where_the_paper_ends_them(score: float, words: str) -> None:
    final, band = conclude_sections(dict.fromkeys(SECTIONS, score))
    assert final == score
    assert words in band


def test_a_score_cannot_be_typed() -> None:
    made = full().model_dump()
    for change in ({"final": 7.0}, {"sections": dict.fromkeys(SECTIONS, 7.0)}, {"band": EXCEPTIONAL}):
        with pytest.raises(ValidationError, match="not those of its lines"):
            Scorecard.model_validate(made | change)
    assert Scorecard.model_validate(made) == full()


@pytest.mark.parametrize(
    ("status", "score"),
    [("failed", 1.0), ("not yet", 0.5), ("attested", 1.0), ("passed", 0.0), ("passed", 2.0)],
)
def test_a_line_cannot_score_what_its_status_does_not_earn(status: str, score: float) -> None:
    with pytest.raises(ValidationError, match="cannot score"):
        line("data", status, score)


def test_the_bar() -> None:
    assert find_shortfalls(full(), 3.0) == ()
    (low,) = find_shortfalls(full(model=2), 3.0)
    assert "model" in low
    open_line = line("model", "not yet", 0.0, "M4")
    (low,) = find_shortfalls(card(*full(model=2).lines, open_line), 3.0)
    assert "M4" in low


@pytest.mark.parametrize("section", ["data", "gates", "criteria"])
def test_what_failed_keeps_it_back_above_any_bar(section: str) -> None:
    found = card(
        *full(data=7, model=7, infrastructure=7, monitoring=7).lines, line(section, "failed", 0.0, "X1")
    )
    (sentence,) = find_shortfalls(found, 0.5)
    assert "X1" in sentence
    assert find_shortfalls(found, 0.0) == ()


MAKING = Making(
    "tocsin ready",
    None,
    attestations=[
        Attestation(
            line="M7", name="Ada Byron", date=TODAY, statement="flows name no person", artifact=DIGEST
        )
    ],
    attested=EvidenceFile(file="evidence/attestations.json", sha256="0" * 64),
)


def made(answer: Any, name: str = "M7") -> Line:
    known: Any = type("Known", (), {"measured": {}, "files": {}})()
    return _attest(_make(known, Check(name, "t", lambda _: answer), "model", MAKING), MAKING)


def test_a_statement_earns_half_a_point_and_only_where_nothing_else_speaks() -> None:
    stated = made(not_yet("nothing shows it"))
    assert (stated.status, stated.score) == ("attested", 0.5)
    assert "Ada Byron, 2026-11-21" in stated.message
    assert stated.evidence == (MAKING.attested,)
    assert made(failed("it is broken")).status == "failed"
    assert made(passed("it holds")).score == 1.0
    assert made(not_yet("nothing shows it"), "M4").status == "not yet"


def test_a_statement_is_read() -> None:
    found = parse_attestation("M7=Ada Byron: 2026-11-20 : none: of it", DIGEST, ATTESTABLE, TODAY)
    assert found == Attestation(
        line="M7", name="Ada Byron", date=date(2026, 11, 20), statement="none: of it", artifact=DIGEST
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("M7", "write ID=NAME"),
        ("M7=Ada Byron:it is fine, believe me", "write ID=NAME"),
        ("M7=:2026-11-20:it is fine, believe me", "write ID=NAME"),
        ("M77=Ada Byron:2026-11-20:it is fine, believe me", "no such line; did you mean 'M7'"),
        ("F1=Ada Byron:2026-11-20:it is fine, believe me", "no such line"),
        ("P65=Ada Byron:2026-11-20:it is fine, believe me", "no such line"),
        ("M7=Ada Byron:2026-02-30:it is fine, believe me", "date"),
        ("M7=Ada Byron:2027-01-01:it is fine, believe me", "lies ahead"),
        ("M7=Ada Byron:2026-11-20:ok", "statement"),
        ("M7= :2026-11-20:it is fine, believe me", "name"),
    ],
)
def test_a_statement_needs_a_line_a_name_a_date_and_words(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_attestation(text, DIGEST, ATTESTABLE, TODAY)


def test_a_later_statement_of_the_same_person_replaces_the_first() -> None:
    first, other = (
        parse_attestation(f"M7={name}:2026-11-20:it is fine, believe me", DIGEST, ATTESTABLE, TODAY)
        for name in ("Ada Byron", "Grace Hopper")
    )
    changed = first.model_copy(update={"statement": "on second thoughts it is fine"})
    merged = merge_attestations(merge_attestations(Attestations(), [first, other]), [changed])
    assert [a.statement for a in merged.attestations if a.name == "Ada Byron"] == [changed.statement]
    assert len(merged.attestations) == 2
    assert parse_attestations(merged.model_dump_json().encode(), "a.json") == merged


def test_a_damaged_file_of_statements_is_named() -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        parse_attestations(b'{"attestations": [{"line": "M7"}]}', "a.json")
