"""Table files as streams of records with exact line numbers: CSV, Parquet, JSON lines; local or behind a URL.

A record is (line, row) or (line, why it cannot be one). Nothing here knows what the columns mean.
"""

import codecs
import csv
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol

import fsspec
import polars as pl
import polars.selectors as cs
from pydantic_core import from_json

from tocsin.core.errors import InputError
from tocsin.core.schema import Row

Record = tuple[int, Row | str]

BATCH = 20_000
"""Rows of a Parquet batch, and lines of JSON that are looked at to know the columns."""
MAX_FIELD = 2**24
"""Characters of one CSV field; an unclosed quote runs at most so far."""

NUL = "a NUL character"
BLANK = "blank line skipped"
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}


class Table(Protocol):
    """A file that is open: `first` is its first row of names, `notes` counts what was mended on the way."""

    first: Sequence[str]
    notes: Counter[str]

    def records(self, names: Sequence[str], headerless: bool, encoding: str | None, /) -> Iterator[Record]:
        """Yield the records under the given column names; `headerless`: the first row is data too."""
        ...


class _Lines:
    """Decoded lines of a file, with the numbers of those that are damaged."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.number = 0
        self.damaged: dict[int, str] = {}
        self.encoding: str | None = None
        self.notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        for raw in self.file:
            self.number += 1
            try:
                line = raw.decode()
            except UnicodeDecodeError:
                line = self._mend(raw)
            if "\0" in line:
                self.damaged[self.number] = NUL
            yield line

    def _mend(self, raw: bytes) -> str:
        if self.encoding is None:
            self.damaged[self.number] = "bytes that are not UTF-8"
        else:
            self.notes[f"bytes that are not UTF-8 read as {self.encoding}"] += 1
        return raw.decode(self.encoding or "utf-8", "replace")


class CsvTable:
    """Comma-separated values; empty text is missing (None). Raises InputError on an empty file."""

    def __init__(self, file: BinaryIO) -> None:
        csv.field_size_limit(MAX_FIELD)
        self._lines = _Lines(file)
        self._reader = csv.reader(iter(self._lines), strict=True)
        self.notes = self._lines.notes
        try:
            first = next((row for row in self._reader if row), None)
        except csv.Error as error:
            raise InputError(f"line {self._lines.number} is not CSV: {error}") from error
        if first is None:
            raise InputError("the file is empty")
        self.first: Sequence[str] = [first[0].removeprefix("\ufeff"), *first[1:]]

    def records(self, names: Sequence[str], headerless: bool, encoding: str | None, /) -> Iterator[Record]:
        """Yield one record a CSV row; a refused row that spans lines counts once for every line."""
        lines, width = self._lines, len(names)
        lines.encoding = encoding
        rows = chain([list(self.first)], self._reader) if headerless else self._reader
        start = lines.number + (not headerless)
        if not headerless:
            lines.damaged.clear()
        while True:
            try:
                for values in rows:
                    if len(values) == width and not lines.damaged:
                        yield start, dict(zip(names, _blank_is_missing(values), strict=True))
                    elif values:
                        yield from self._refuse(start, _why(values, width, lines.damaged))
                    else:
                        self.notes[BLANK] += 1
                    start = lines.number + 1
                return
            except csv.Error as error:
                yield from self._refuse(start, f"not CSV: {error}")
                start, rows = lines.number + 1, self._reader

    def _refuse(self, start: int, reason: str) -> Iterator[Record]:
        stop = max(start, self._lines.number)
        self._lines.damaged.clear()
        span = f" (lines {start} to {stop} were read as one row)" if stop > start else ""
        for line in range(start, stop + 1):
            yield line, reason + span


def _why(values: list[str], width: int, damaged: dict[int, str]) -> str:
    return next(iter(damaged.values())) if damaged else f"{len(values)} fields where the header has {width}"


class ParquetTable:
    """Parquet, read in batches; dates become ISO 8601 text, the line is the number of the row."""

    def __init__(self, source: str | BinaryIO) -> None:
        self.notes: Counter[str] = Counter()
        frame = pl.scan_parquet(source, glob=False)
        self._frame = frame.with_columns(
            cs.temporal().dt.to_string("iso"),
            cs.decimal().cast(pl.Float64),
            (cs.categorical() | cs.enum()).cast(pl.String),
        ).with_columns(pl.when(cs.string() != "").then(cs.string()))
        self.first: Sequence[str] = self._frame.collect_schema().names()

    def records(self, names: Sequence[str], _headerless: bool, _encoding: str | None, /) -> Iterator[Record]:
        """Yield one record a row."""
        line = 0
        for batch in self._frame.collect_batches(chunk_size=BATCH, maintain_order=True):
            damaged = _rows_with_nul(batch)
            for place, values in enumerate(batch.rows()):
                line += 1
                yield line, NUL if place in damaged else dict(zip(names, values, strict=True))


def _rows_with_nul(batch: pl.DataFrame) -> frozenset[int]:
    text = batch.select(cs.string())
    if not text.width:
        return frozenset()
    hit = text.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True))).to_series()
    return frozenset(hit.arg_true().to_list())


class JsonTable:
    """JSON lines: one object a line; a key that a line lacks is missing (None)."""

    def __init__(self, file: BinaryIO) -> None:
        self.notes: Counter[str] = Counter()
        self._records = self._parse(file)
        self._head = list(islice(self._records, BATCH))
        if not self._head:
            raise InputError("the file is empty")
        keys = (key for _, row in self._head if isinstance(row, dict) for key in row)
        self.first: Sequence[str] = list(dict.fromkeys(keys))

    def records(self, names: Sequence[str], _headerless: bool, _encoding: str | None, /) -> Iterator[Record]:
        """Yield one record a line; keys that first turn up after 20,000 lines are counted and left out."""
        known = frozenset(self.first)
        for line, row in chain(self._head, self._records):
            if isinstance(row, str):
                yield line, row
                continue
            for key in row.keys() - known:
                self.notes[f"column {key!r}, which the first {BATCH} lines lack, left out"] += 1
            values = [row.get(key) for key in self.first]
            yield line, dict(zip(names, _blank_is_missing(values), strict=True))

    def _parse(self, file: BinaryIO) -> Iterator[Record]:
        for line, raw in enumerate(file, 1):
            if raw.isspace():
                self.notes[BLANK] += 1
                continue
            yield line, _parse_object(raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw)


def _parse_object(raw: bytes) -> Row | str:
    try:
        value = from_json(raw)
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(value, dict):
        return f"{type(value).__name__} where an object should be"
    if b"\\u0000" in raw and any(isinstance(v, str) and "\0" in v for v in value.values()):
        return NUL
    return value


def _blank_is_missing(values: list[Any]) -> list[Any]:
    return [None if value == "" else value for value in values] if "" in values else values


FORMATS: dict[str, Callable[[BinaryIO], Table]] = {
    ".csv": CsvTable,
    ".txt": CsvTable,
    ".jsonl": JsonTable,
    ".ndjson": JsonTable,
    ".json": JsonTable,
    ".parquet": ParquetTable,
}


@contextmanager
def open_table(url: str) -> Iterator[Table]:
    """Open a file by its suffix, also with .gz, .bz2 or .xz behind it.

    InputError, with the file's name in front, for whatever is wrong with it, also while it is being read.
    """
    path = PurePosixPath(url.rsplit("::", 1)[-1])
    compression = COMPRESSIONS.get(path.suffix.lower())
    suffix = (path.with_suffix("") if compression else path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise InputError(
            f"{url}: the name must end with one of {known} (and may go on with .gz, .bz2 or .xz)"
        )
    try:
        with _locate(url, compression) as file:
            yield FORMATS[suffix](file)
    except InputError as error:
        raise InputError(f"{url}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{url}: there is no such file") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{url}: cannot be read: {first_line(error)}") from error


def _locate(url: str, compression: str | None) -> Any:
    try:
        return fsspec.open(url, "rb", compression=compression)
    except (ValueError, ImportError) as error:
        raise InputError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type when it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
