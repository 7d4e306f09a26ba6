"""Write what a benchmark measured as a Markdown table, with what it ran on."""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tocsin.core.durable import write_text
from tocsin.core.provenance import git_state

RESULTS = Path(__file__).parent / "results"


def publish(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[object]], notes: Sequence[str]
) -> None:
    """Print the table and write `results/<name>.md`."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    text = "\n".join([f"# {name}", "", *lines, "", *(f"- {note}" for note in [*notes, *_machine(name)]), ""])
    sys.stdout.write(text + "\n")
    write_text(RESULTS / f"{name}.md", text)


def _cell(value: object) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _machine(name: str) -> list[str]:
    commit, dirty = git_state()
    state = f"{(commit or 'none')[:10]}{' with changes' if dirty else ''}"
    load = f"load {os.getloadavg()[0]:.1f}"
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "onnxruntime", "numpy"))
    return [
        f"`python -m benchmarks.{name}`, {datetime.now(UTC):%Y-%m-%d}, commit {state}",
        f"{platform.machine()}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}, {packages}",
    ]
