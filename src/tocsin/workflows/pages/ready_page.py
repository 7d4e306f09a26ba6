"""The page of the scorecard: every line opens its evidence."""

import json
from pathlib import Path
from typing import Any

from tocsin.audit.readiness.facts import EVIDENCE, SEALED, Known
from tocsin.audit.scorecard import SECTIONS, Line, Scorecard, find_shortfalls
from tocsin.core.durable import write_text
from tocsin.workflows.pages.report import page_environment

LONGEST = 6_000
"""Characters shown of one evidence file; the file itself is named with its hash."""
WORDS = {
    "data": "Data",
    "model": "Model",
    "infrastructure": "Infrastructure",
    "monitoring": "Monitoring",
    "gates": "Gates",
    "criteria": "Criteria of the source systems",
}


def write_page(path: Path, known: Known, card: Scorecard, bar: float) -> None:
    """Write `ready.html`, which stands alone."""
    lines: dict[str, list[Line]] = {section: [] for section in WORDS}
    for line in card.lines:
        lines[line.section].append(line)
    shown = {
        line.id: [(e, find_tables(known, e.file), show_evidence(known, e.file)) for e in line.evidence]
        for line in card.lines
    }
    page = (
        page_environment()
        .get_template("ready.html.j2")
        .render(
            card=card,
            bar=bar,
            shortfalls=find_shortfalls(card, bar),
            lines=lines,
            words=WORDS,
            summed=SECTIONS,
            evidence=shown,
            made=known.manifest.provenance,
        )
    )
    write_text(path, page)


def find_tables(known: Known, file: str) -> dict[str, list[dict[str, Any]]]:
    """Return the lists of like records in a measurement, to be shown as tables: name -> records."""
    found = known.facts(_topic(file)) or {}
    return {name: value for name, value in found.items() if _is_table(value)}


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _topic(file: str) -> str:
    return file.removeprefix(EVIDENCE).removesuffix(".json")


def show_evidence(known: Known, file: str) -> str:
    """Return the beginning of an evidence file, or what is measured, as text."""
    if file.startswith(SEALED):
        text = known.files[file.removeprefix(SEALED)].decode(errors="replace")
    else:
        found = {name: v for name, v in (known.facts(_topic(file)) or {}).items() if not _is_table(v)}
        text = json.dumps(found, indent=1, ensure_ascii=False) if found else ""
    more = f"\n… {len(text) - LONGEST:,} more characters in the file" if len(text) > LONGEST else ""
    return text[:LONGEST] + more
