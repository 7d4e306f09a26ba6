"""Dicts, or a frame of polars or pandas, read as a model's samples.

They are read as strictly as the server reads a request. A number that is written as text is refused, and so is an
unknown or a missing field. No frame library is imported, because a frame comes only from one that is loaded.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.schema import Schema
from tocsin.core.types import Sample, field_names

BLOCK = 512
"""Rows that are read and validated at once, so that a long frame takes little memory beside its own."""
SHOWN = 60
"""Characters of a wrong value that an error shows."""
LISTED = 5
"""Columns that an error lists."""
NOT_KNOWN = "; None says that it is not known"


def read_samples(rows: object, schema: Schema) -> Iterator[list[Sample]]:
    """Yield the samples of all rows, a block at a time.

    `rows` are dicts, or one frame whose columns are the fields. InputError names the row, counted from 0, and the
    field. It names the column that a frame lacks, or has and should not.
    """
    records, start = _records(rows, schema), 0
    while block := list(islice(records, BLOCK)):
        yield _read_block(block, start, schema)
        start += len(block)


def names_of(files: str | Path | Iterable[str | Path]) -> list[str]:
    """Return one name or several as a list of text."""
    return [str(files)] if isinstance(files, str | Path) else [str(name) for name in files]


def is_frame(rows: object) -> bool:
    """Tell whether rows are a frame of polars or of pandas."""
    return _made_by("polars", rows) or _made_by("pandas", rows)


def _made_by(library: str, rows: object, kind: str = "DataFrame") -> bool:
    found = getattr(sys.modules.get(library), kind, None)
    return isinstance(found, type) and isinstance(rows, found)


def _records(rows: Any, schema: Schema) -> Iterator[Any]:
    if is_frame(rows):
        _check_columns(list(rows.columns), schema)
        return rows.iter_rows(named=True) if _made_by("polars", rows) else _pandas_records(rows)
    if _made_by("polars", rows, "LazyFrame"):
        raise InputError("the rows are a lazy frame: collect it first")
    if isinstance(rows, str | bytes | Path) or not isinstance(rows, Iterable):
        raise InputError(
            f"rows are dicts, or a frame of polars or pandas, not {_shorten(rows)}; `scan` reads raw files,"
            " and `tocsin predict` reads tables"
        )
    return iter(rows)


def _pandas_records(frame: Any) -> Iterator[dict[str, Any]]:
    """Yield a dict a row. NaN, NaT and NA become None, because pandas writes them for a missing value."""
    for start in range(0, len(frame), BLOCK):
        part = frame.iloc[start : start + BLOCK]
        yield from part.astype(object).where(part.notna(), None).to_dict("records")


def _check_columns(columns: Sequence[object], schema: Schema) -> None:
    known = field_names(schema.sample)
    needed = [name for name in known if schema.sample.model_fields[name].is_required()]
    missing = [name for name in needed if name not in columns]
    unknown = [name for name in columns if name not in known]
    hints = (did_you_mean(str(name), missing or known) for name in unknown)
    hint = next(filter(None, hints), "")
    if missing:
        raise InputError(f"the frame lacks {_columns(missing)} of {schema.name!r}{hint}")
    if unknown:
        raise InputError(
            f"the frame has {_columns(unknown)}, which {schema.name!r} does not read{hint or '; select `model.fields`'}"
        )
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    if twice:
        raise InputError(f"the frame has {_columns(twice)} more than once")


def _columns(names: Sequence[object]) -> str:
    shown = ", ".join(map(repr, names[:LISTED]))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"the column{'s' if len(names) > 1 else ''} {shown}{more}"


@cache
def _many(sample: type[Sample]) -> TypeAdapter[list[Sample]]:
    return TypeAdapter(list[sample])  # type: ignore[valid-type]


def _read_block(block: list[Any], start: int, schema: Schema) -> list[Sample]:
    try:
        found: list[Sample] = _read(_many(schema.sample), block)
    except (ValueError, TypeError, RecursionError):
        _refuse(block, start, schema)
    return found


def _read(reader: TypeAdapter[Any], value: object) -> Any:
    return reader.validate_json(_json(value), strict=True)


def _json(value: object) -> bytes:
    return json.dumps(value, default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> object:
    """Return numpy's scalars and arrays, and samples, as JSON has them; TypeError for anything else."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Sample):
        return value.model_dump()
    raise TypeError(f"{_shorten(value)} is no number, text or list")


def _refuse(block: Sequence[object], start: int, schema: Schema) -> NoReturn:
    """Raise InputError for the first row of a block that cannot be read."""
    reader: TypeAdapter[Sample] = TypeAdapter(schema.sample)
    for place, row in enumerate(block, start):
        try:
            _read(reader, row)
        except ValidationError as error:
            reason = _explain(error.errors(include_url=False), schema)
            raise InputError(f"row {place}: {reason}") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"row {place}: {_unwritable(row, error)}") from None
    raise AssertionError("valid alone, invalid among others")


def _explain(faults: Sequence[ErrorDetails], schema: Schema) -> str:
    """Say the first fault. An unknown field goes first, because it is often a missing one that was misspelled."""
    first, *more = sorted(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(map(str, first["loc"]))
    others = f" (and {len(more)} more)" if more else ""
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(where, field_names(schema.sample))
        return f"{where!r} is no field of {schema.name!r}{hint}{others}"
    if first["type"] == "missing":
        absent = NOT_KNOWN if _may_be_none(schema.sample, where) else ""
        return f"{where} is missing{absent}{others}"
    found = first["input"]
    absent = NOT_KNOWN if found != found else ""
    said = f"{where}: {first['msg']}" if where else first["msg"]
    return f"{said}, not {_shorten(found)}{absent}{others}"


def _may_be_none(sample: type[Sample], name: str) -> bool:
    return name in sample.model_fields and type(None) in get_args(sample.model_fields[name].annotation)


def _unwritable(row: object, error: Exception) -> str:
    """Name the field whose value cannot be read at all, such as a date or a set."""
    for name, value in row.items() if isinstance(row, Mapping) else ():
        try:
            _json(value)
        except (ValueError, TypeError, RecursionError) as reason:
            return f"{name}: {reason}"
    return str(error)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
