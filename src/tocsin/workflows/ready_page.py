"""The page of the scorecard: every line opens its evidence."""

import json
from pathlib import Path
from typing import Any

from tocsin.audit.readiness.facts import EVIDENCE, SEALED, Known
from tocsin.audit.scorecard import SECTIONS, Line, Scorecard, find_shortfalls
from tocsin.core.durable import write_text
from tocsin.workflows.report import page_environment

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
    shown = {line.id: [(e, show_evidence(known, e.file)) for e in line.evidence] for line in card.lines}
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


def show_evidence(known: Known, file: str) -> str:
    """Return the beginning of an evidence file, or what is measured, as text."""
    if file.startswith(SEALED):
        text = known.files[file.removeprefix(SEALED)].decode(errors="replace")
    else:
        topic = file.removeprefix(EVIDENCE).removesuffix(".json")
        found: Any = known.facts(topic)
        text = "" if found is None else json.dumps(found, indent=1, ensure_ascii=False)
    more = f"\n… {len(text) - LONGEST:,} more characters in the file" if len(text) > LONGEST else ""
    return text[:LONGEST] + more
