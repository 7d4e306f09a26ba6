"""Read files into a dataset: every row becomes a validated sample, or is refused with file, line and reason.

Shapes: N rows.
"""

import gc
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from tocsin.core.durable import write_text
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.recipe import DataSection, SplitSection
from tocsin.core.schema import Row, Schema
from tocsin.core.types import Columns, Sample, column, tabulate
from tocsin.data.dataset import BadRow, Dataset
from tocsin.data.files import Record, Table, open_table
from tocsin.data.fingerprint import mix
from tocsin.data.layouts import Fit, check_denied, fit_layout

CHUNK = 512
"""Rows that are validated at once: few enough to stay in the processor's cache."""
SHOWN = 3
"""How many refused rows an error shows."""


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    layout: str = "auto"
    max_bad_rows: float = 0.01
    """Share of a file's rows above which its refused rows are an error."""
    limit: int | None = None
    """Rows to draw from each file, each with the same chance, the same ones every time."""
    labelled: bool = True
    """False: labels are never read and their columns may be missing."""
    group: str | None = None
    time: str | None = None


def reading_of(data: DataSection, split: SplitSection, *, labelled: bool = True) -> Reading:
    """Return how a recipe reads its files."""
    return Reading(
        layout=data.layout,
        max_bad_rows=data.max_bad_rows,
        limit=data.limit,
        labelled=labelled,
        group=split.group if labelled else None,
        time=split.time if labelled else None,
    )


def read(urls: Sequence[str | Path], schema: Schema, how: Reading = Reading()) -> Dataset:
    """Read CSV, Parquet or JSON-lines files, local or behind any fsspec URL, as one dataset.

    Rows are streamed. A row that cannot be read, validated or labelled is kept in `refused`. InputError names
    the file and what is wrong with it: missing, empty, no layout, no usable row, or too many refused ones.
    """
    check_denied(schema)
    if not urls:
        raise InputError("there are no files to read")
    texts = [str(url) for url in urls]
    if len(set(texts)) < len(texts):
        raise InputError(f"{next(text for text in texts if texts.count(text) > 1)}: the file is named twice")
    names = zip(texts, _short(texts), strict=True)
    with _uncollected():
        return concatenate([_read_file(text, name, schema, how) for text, name in names])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the cyclic garbage collector, which takes a fifth of the reading time: rows contain no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """Put datasets of one sample class after one another."""
    if len(datasets) == 1:
        return datasets[0]
    repairs: Counter[str] = Counter()
    for dataset in datasets:
        repairs.update(dict(dataset.repairs))
    return Dataset(
        columns=_stack([d.columns for d in datasets]),
        truth=_stack([d.truth for d in datasets]),
        ids=np.concatenate([d.ids for d in datasets]),
        source=np.concatenate([d.source for d in datasets]),
        group=_optional([d.group for d in datasets]),
        time=_optional([d.time for d in datasets]),
        facets=_join_facets(datasets),
        refused=tuple(row for d in datasets for row in d.refused),
        repairs=tuple(sorted(repairs.items())),
    )


def _stack(parts: Sequence[Columns]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_quarantine(dataset: Dataset, path: Path) -> None:
    """Write the refused rows durably as JSON lines of file, line and reason."""
    write_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in dataset.refused))


def _read_file(url: str, name: str, schema: Schema, how: Reading) -> Dataset:
    with open_table(url) as table:
        intake = _Intake(name, schema, fit_layout(table.first, schema, how.layout, how.labelled), how)
        records = table.records(intake.fit.names, intake.fit.headerless, intake.fit.layout.encoding)
        for chunk in _chunks(records if how.limit is None else draw(records, how.limit)):
            intake.add(chunk)
        intake.check()
        return intake.dataset(_header_repairs(table, intake.fit) + table.notes)


@dataclass(frozen=True)
class _Taken:
    """What a record says beside the fields of its sample."""

    line: int
    truth: Row
    group: str | None
    time: float | None
    facets: list[str | None]


class _Intake:
    """One file on its way into a dataset."""

    def __init__(self, name: str, schema: Schema, fit: Fit, how: Reading) -> None:
        self.name, self.schema, self.fit, self.how = name, schema, fit, how
        self.samples, self.answers = _Checked(schema.sample), _Checked(schema.truth)
        self.unlabelled = dict.fromkeys(schema.truth.model_fields)
        self.dropped = [*fit.layout.denied, *fit.unknown]
        self.columns: list[Columns] = []
        self.truths: list[Columns] = []
        self.taken: list[_Taken] = []
        self.refused: list[BadRow] = []
        self.repairs: Counter[str] = Counter()
        self.facets = {n: how for n, how in fit.layout.facets.items() if callable(how) or how in fit.names}
        for wanted in (how.group, how.time):
            if wanted is not None and wanted not in fit.names:
                raise InputError(f"there is no column {wanted!r}{did_you_mean(wanted, list(fit.names))}")

    def add(self, chunk: list[Record]) -> None:
        """Take in records: mend, label, strip of what is denied, rename, validate all at once."""
        fields: list[Row] = []
        found: list[_Taken] = []
        for line, row in chunk:
            try:
                if isinstance(row, str):
                    raise ValueError(row)
                if self.fit.layout.skip and (reason := self.fit.layout.skip(row)):
                    self.repairs[f"left out: {reason}"] += 1
                    continue
                taken = self._take(line, row)
                fields.append(self._record(row))
                found.append(taken)
            except (ValueError, TypeError, KeyError) as error:
                self._refuse(line, f"no column {error}" if isinstance(error, KeyError) else str(error))
        self._validate(fields, found)

    def check(self) -> None:
        """Raise InputError when too many rows were refused, or none is usable."""
        bad, all_ = len(self.refused), len(self.refused) + len(self.taken)
        first = "; ".join(f"line {row.line}: {row.reason}" for row in self.refused[:SHOWN])
        if not all_:
            raise InputError("there are no rows in it")
        if not self.taken:
            raise InputError(f"none of its {all_} rows is usable: {first}")
        if bad > self.how.max_bad_rows * all_:
            limit = f"max_bad_rows allows {self.how.max_bad_rows:.2%}"
            raise InputError(f"{bad} of {all_} rows are bad ({bad / all_:.2%}, {limit}): {first}")

    def dataset(self, notes: Counter[str]) -> Dataset:
        """Return what was taken in."""
        taken = self.taken
        return Dataset(
            columns=_stack(self.columns),
            truth=_stack(self.truths),
            ids=column([f"{self.name}:{t.line}" for t in taken], numeric=False),
            source=column([self.name] * len(taken), numeric=False),
            group=None if self.how.group is None else column([t.group for t in taken], numeric=False),
            time=None if self.how.time is None else column([t.time for t in taken], numeric=True),
            facets={
                name: column([t.facets[place] for t in taken], numeric=False)
                for place, name in enumerate(self.facets)
            },
            refused=tuple(sorted(self.refused, key=lambda row: row.line)),
            repairs=tuple(sorted((self.repairs + notes).items())),
        )

    def _take(self, line: int, row: Row) -> _Taken:
        layout, how = self.fit.layout, self.how
        if layout.repair:
            for quirk in layout.repair(row):
                self.repairs[quirk] += 1
        group = None if how.group is None else _group(row[how.group], how.group)
        time = None if how.time is None else _moment(row[how.time])
        facets = [how(row) if callable(how) else row[how] for how in self.facets.values()]
        texts = [None if value is None else str(value) for value in facets]
        return _Taken(line, self._truth(row) if how.labelled else self.unlabelled, group, time, texts)

    def _truth(self, row: Row) -> Row:
        """Return the fields of the truth; ValueError where its first says that there is none."""
        truth = self.fit.layout.truth(row)
        first = next(iter(self.unlabelled))
        if truth.get(first) is None:
            raise ValueError(f"the {first} is missing")
        return truth

    def _record(self, row: Row) -> Row:
        for name in self.dropped:
            row.pop(name, None)
        return self.fit.layout.record(row)

    def _validate(self, fields: list[Row], taken: list[_Taken]) -> None:
        samples, truths = self.samples.check(fields), self.answers.check([t.truth for t in taken])
        good = []
        for place, (sample, truth) in enumerate(zip(samples, truths, strict=True)):
            if sample is not None and truth is not None:
                good.append(place)
                continue
            checked, found = (
                (self.samples, fields[place]) if sample is None else (self.answers, taken[place].truth)
            )
            self._refuse(taken[place].line, checked.explain(found))
        self.taken += [taken[place] for place in good]
        self.columns.append(self.samples.tabulate([samples[place] for place in good]))
        self.truths.append(self.answers.tabulate([truths[place] for place in good]))

    def _refuse(self, line: int, reason: str) -> None:
        self.refused.append(BadRow(self.name, line, reason))


class _NoneWhereInvalid:
    """Makes a list of samples validate in one pass: an invalid one becomes None instead of an error."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


class _Checked:
    """Rows of one class, validated all at once."""

    def __init__(self, sample: type[Sample]) -> None:
        self.sample = sample
        self._adapter = TypeAdapter(list[Annotated[sample, _NoneWhereInvalid()]])  # type: ignore[valid-type]

    def check(self, rows: list[Row]) -> list[Sample | None]:
        """Return the samples, None for a row that is none."""
        return self._adapter.validate_python(rows)

    def tabulate(self, samples: Sequence[Sample | None]) -> dict[str, np.ndarray]:
        """Return the columns of valid samples."""
        return tabulate([sample for sample in samples if sample is not None], self.sample)

    def explain(self, fields: Row) -> str:
        """Say why a row is no sample."""
        try:
            self.sample.model_validate(fields)
        except ValidationError as error:
            first, *more = error.errors(include_url=False)
            where = ".".join(str(part) for part in first["loc"])
            others = f" (and {len(more)} more)" if more else ""
            return f"{where}: {first['msg']}, not {_shorten(first['input'])}{others}"
        raise AssertionError("valid alone, invalid among others")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def draw(records: Iterable[Record], limit: int) -> Iterator[Record]:
    """Yield `limit` records in their order, drawn with equal chances by a hash of their place in the file."""
    kept: list[tuple[int, int, Record]] = []
    count = 0
    for chunk in _chunks(records):
        places = np.arange(count, count + len(chunk), dtype=np.uint64)
        count += len(chunk)
        kept += zip(mix(places).tolist(), places.tolist(), chunk, strict=True)
        kept = sorted(kept, key=lambda item: item[:2])[:limit]
    for _, _, record in sorted(kept, key=lambda item: item[1]):
        yield record


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _group(value: object, name: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"group column {name!r} is empty")
    return str(value)


def _moment(value: Any) -> float:
    """Return a number as it is, or the seconds since 1970 of an ISO 8601 date (UTC if it names no zone)."""
    try:
        time = float(value)
    except (TypeError, ValueError):
        time = _seconds(value)
    if math.isnan(time):
        raise ValueError("the time is not a number")
    return time


def _seconds(value: Any) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"time {_shorten(value)} is neither a number nor an ISO 8601 date") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _header_repairs(table: Table, fit: Fit) -> Counter[str]:
    if fit.headerless:
        return Counter()
    spaced = sum(name != name.strip() for name in table.first)
    repairs = Counter({f"unknown column {name!r} left out": 1 for name in fit.unknown})
    return repairs + Counter({"space around a column name": spaced})


def _short(urls: Sequence[str]) -> list[str]:
    """Return the shortest ends of paths that tell the files apart: the same wherever the folder lies."""
    parts = [PurePosixPath(url.replace("\\", "/")).parts for url in urls]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-length:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    return list(urls)


def _join_facets(datasets: Sequence[Dataset]) -> dict[str, np.ndarray]:
    """Put facets after one another; None where a file does not have one."""
    names = list(dict.fromkeys(name for dataset in datasets for name in dataset.facets))
    absent = [np.full(len(dataset), None, dtype=object) for dataset in datasets]
    return {
        name: np.concatenate([d.facets.get(name, none) for d, none in zip(datasets, absent, strict=True)])
        for name in names
    }


def _optional(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [values for values in arrays if values is not None]
    return np.concatenate(present) if present else None
