"""Add samples to a CSV file: checked against its schema and its rows, with a backup, all or nothing."""

import csv
from dataclasses import asdict
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from tocsin.core.durable import write_bytes
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector
from tocsin.core.schema import Schema
from tocsin.data.additions import Repeat, find_repeats
from tocsin.data.dataset import Dataset
from tocsin.data.files import open_table
from tocsin.data.layouts import fit_layout
from tocsin.data.sources import Reading, read

SHOWN = 5


def add_samples(source: Path, target: Path, detector: str, dry_run: bool) -> dict[str, Any]:
    """Append the rows of one CSV file to another that say something new; returns what was done.

    InputError, naming file, line and reason, and nothing written, when a row does not fit the schema, when the
    columns differ, or when an equal row is labelled otherwise.
    """
    _check_target(target, source)
    before = _content(target)
    header, added_header = _header(target), _header(source)
    if sorted(header) != sorted(added_header):
        raise InputError(f"{source}: {_difference(header, added_header)} {target} has")
    schema = _schema(detector, target)
    old, new = read([target], schema), _read_sound(source, schema)
    repeats = find_repeats(old, new)
    lines = {int(row.rpartition(":")[2]) for row in new.ids} - {
        int(repeat.row.rpartition(":")[2]) for repeat in repeats
    }
    backup = None
    if lines and not dry_run:
        backup = _append(target, before, _rows(source, header, added_header, lines, before))
    return _summary(target, len(old), len(lines), repeats, backup) | {"dry_run": dry_run}


def _summary(
    target: Path, rows: int, added: int, repeats: list[Repeat], backup: Path | None
) -> dict[str, Any]:
    return {
        "file": target,
        "rows_before": rows,
        "added": added,
        "exact_duplicates": sum(repeat.kind == "exact" for repeat in repeats),
        "near_duplicates": sum(repeat.kind == "near" for repeat in repeats),
        "left_out": [asdict(repeat) for repeat in repeats],
        "backup": backup,
    }


def _check_target(target: Path, source: Path) -> None:
    if target.suffix.lower() != ".csv":
        raise InputError(f"{target}: only plain .csv files are added to")
    if not target.exists():
        raise InputError(f"{target}: there is no such file to add to; begin with a copy of {source}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _header(path: Path) -> list[str]:
    with open_table(str(path)) as table:
        return [name.strip() for name in table.first]


def _difference(header: list[str], added: list[str]) -> str:
    missing = [name for name in header if name not in added]
    extra = [name for name in added if name not in header]
    if not missing:
        return f"has the columns {_listed(extra or added)}; not what"
    instead = f" (and has {_listed(extra)})" if extra else ""
    return f"lacks the columns {_listed(missing)}{instead} that"


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:SHOWN])


def _schema(detector: str, target: Path) -> Schema:
    """Return the detector's schema that the file fits, the one with most fields; an error where none does."""
    fitting, errors = [], []
    with open_table(str(target)) as table:
        for schema in load_detector(detector).schemas.values():
            try:
                fit_layout(table.first, schema, "auto", True)
            except InputError as error:
                errors.append(error)
            else:
                fitting.append(schema)
    if not fitting:
        raise InputError(f"{target}: {errors[0]}")
    return max(fitting, key=lambda schema: len(schema.sample.model_fields))


def _read_sound(path: Path, schema: Schema) -> Dataset:
    """Read a file of which every row must be sound."""
    dataset = read([path], schema, Reading(max_bad_rows=1.0))
    if dataset.refused:
        shown = "; ".join(f"{path}:{bad.line}: {bad.reason}" for bad in dataset.refused[:SHOWN])
        more = len(dataset.refused) - SHOWN
        raise InputError(shown + (f"; and {more} more" if more > 0 else ""))
    return dataset


def _rows(source: Path, header: list[str], names: list[str], lines: set[int], before: bytes) -> bytes:
    """Return the chosen rows as CSV, their columns and ends of lines as in the file they go to."""
    end = "\r\n" if b"\r\n" in before[:10_000] else "\n"
    text = StringIO()
    writer = csv.writer(text, lineterminator=end)
    with open_table(str(source)) as table:
        for line, row in table.records(names, False, None):
            if line in lines and not isinstance(row, str):
                writer.writerow(["" if row[name] is None else row[name] for name in header])
    return (b"" if before.endswith(b"\n") else end.encode()) + text.getvalue().encode()


def _append(target: Path, before: bytes, rows: bytes) -> Path:
    """Put the file's old content beside it, then the new one in its place; InputError if it changed meanwhile."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    backup = target.with_name(f"{target.name}.{stamp}.bak")
    write_bytes(backup, before)
    if _content(target) != before:
        backup.unlink()
        raise InputError(f"{target}: was changed by somebody else meanwhile; nothing was added")
    write_bytes(target, before + rows)
    return backup
