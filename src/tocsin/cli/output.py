"""What the verbs print: a short table for people, or one JSON document for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin.core.durable import json_bytes, jsonable

UNBROKEN = 16
"""Words up to so many characters are not broken where a table is too wide."""

# What is printed is never markup: `data.train=[x]` is text.
_out = Console(markup=False, highlight=False)
_err = Console(stderr=True, markup=False, highlight=False)


def emit_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.buffer.write(json_bytes(value))
    sys.stdout.flush()


def emit_record(value: object) -> None:
    """Print one JSON value on one line of stdout; what UTF-8 cannot hold is written as a JSON escape."""
    text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
    sys.stdout.buffer.write((text + "\n").encode(errors="backslashreplace"))
    sys.stdout.flush()


def emit_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers are right-aligned."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    content = [[_text(cell) for cell in row] for row in rows]
    for i, name in enumerate(columns):
        numeric = all(_is_number(row[i]) for row in content) and bool(content)
        word = max(len(w) for cell in (name, *(row[i] for row in content)) for w in (*cell.split(), ""))
        justify: Literal["right", "left"] = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", min_width=min(word, UNBROKEN))
    for row in content:
        table.add_row(*map(Text, row))  # not as markup: `tocsin[train]` would lose its end
    _out.print(table)


def say(message: str) -> None:
    """Tell a person what is going on, on stderr, so that stdout stays for results."""
    _err.print(message, soft_wrap=True)


def emit_line(message: str) -> None:
    """Print one line of a result."""
    _out.print(message, soft_wrap=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return "–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)


def _is_number(text: str) -> bool:
    return (
        text.replace(",", "")
        .replace(".", "")
        .replace("-", "")
        .replace("–", "")
        .replace("%", "")
        .strip()
        .isdigit()
        or text == "–"
    )
