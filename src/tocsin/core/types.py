"""The nouns that cross every seam: columns in, arrays through, verdicts out."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, computed_field

Arrays = dict[str, np.ndarray]
"""Named arrays with the row axis first; the names are exactly the ONNX input (or output) names."""

Columns = Mapping[str, np.ndarray]
"""Validated raw fields, row-aligned, an array each: float64 with NaN for missing, or object (`str | None`, or the
tuple of a field that is a sequence)."""

Files = dict[str, bytes]
"""Relative POSIX path -> content: how encoders and artifacts are saved and loaded without touching a disk."""


class Frozen(BaseModel):
    """A part of a file that tocsin writes: it does not change, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Sample(BaseModel):
    """One raw record: a row of a training file and the body of an HTTP request are the same class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(BaseModel):
    """Where something stands: in a field of a sample, in a file, or in a part of a file such as `inbox.mbox#12`.

    Example: `str(Place(where="text", start=69, stop=85)) == "text[69:85]"`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str = Field(description="field of the sample, or file")
    start: int | None = Field(default=None, ge=0, description="first character, from 0")
    stop: int | None = Field(default=None, ge=0, description="character behind the last")
    line: int | None = Field(default=None, ge=1, description="line, from 1")
    column: int | None = Field(default=None, ge=1, description="character of the line, from 1")

    def __str__(self) -> str:
        lines = [str(number) for number in (self.line, self.column) if number is not None]
        span = "" if self.start is None else f"[{self.start}:{'' if self.stop is None else self.stop}]"
        return ":".join([self.where + span, *lines])


class Evidence(BaseModel):
    """One reason for a verdict.

    `weight` is the fall of the logit when this part is hidden from the model, or the logit of the part itself where the
    decoder found it, such as a span.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["feature", "passage", "path"]
    place: Place
    value: str
    weight: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str:
        """The place in words: `text[69:85]`."""
        return str(self.place)


class Verdict(BaseModel):
    """The answer of every detector, in one shape."""

    model_config = ConfigDict(frozen=True)

    label: str = Field(description="the positive or the negative label of the detector")
    probability: float = Field(ge=0, le=1, description="calibrated probability of the positive label")
    threshold: float = Field(ge=0, le=1, description="the verdict is positive at or above it")
    abstain: bool = Field(default=False, description="the probability lies in the band that goes to a person")
    category: str | None = Field(
        default=None, description="most probable kind of a positive: family, CWE, technique"
    )
    evidence: tuple[Evidence, ...] = ()
    artifact: str = Field(description="sha256 digest of the artifact that answered")


def field_names(sample: type[Sample]) -> list[str]:
    """Return the fields of a sample class in their declared order, which is the order of features."""
    return list(sample.model_fields)


def is_numeric(sample: type[Sample], name: str) -> bool:
    """Tell whether a field holds numbers (then its column is float64), or text or a sequence (then it is object)."""
    annotation = sample.model_fields[name].annotation
    return not _holds_sequence(annotation) and _holds_numbers(annotation)


def is_sequence(sample: type[Sample], name: str) -> bool:
    """Tell whether a field holds a sequence: its column is object, and no text."""
    return _holds_sequence(sample.model_fields[name].annotation)


def _holds_sequence(annotation: object) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, tuple | list):
        return True
    return any(map(_holds_sequence, get_args(annotation))) if origin is not Literal else False


def _holds_numbers(annotation: object) -> bool:
    kind = annotation if isinstance(annotation, type) else type(annotation)  # Literal[0, 1] holds values
    return kind in (float, int, bool) or any(map(_holds_numbers, get_args(annotation)))


@cache
def _number_names(sample: type[Sample]) -> tuple[str, ...]:
    return tuple(name for name in field_names(sample) if is_numeric(sample, name))


def tabulate(samples: Sequence[Sample], sample: type[Sample]) -> dict[str, np.ndarray]:
    """Turn validated samples into columns; the same call serves a training file and one request."""
    values = [s.__dict__ for s in samples]
    numbers = _number_names(sample)
    table = np.array([[v[name] for name in numbers] for v in values], dtype=np.float64)
    table = np.ascontiguousarray(table.reshape(len(values), len(numbers)).T)
    found = dict(zip(numbers, table, strict=True))  # one table is faster than an array a field
    texts = (name for name in sample.model_fields if name not in found)
    found |= {name: column([v[name] for v in values], numeric=False) for name in texts}
    return {name: found[name] for name in sample.model_fields}


def untabulate(columns: Columns, index: int) -> dict[str, Any]:
    """Return one row as the fields of a sample: NaN is None, as it was before `tabulate`."""
    values = {name: array[index] for name, array in columns.items()}
    return {
        n: None if v is None or v != v else float(v) if isinstance(v, np.floating) else v
        for n, v in values.items()
    }


def column(values: Sequence[Any], numeric: bool) -> np.ndarray:
    """Make one column: float64 with NaN where a value is None, or an object array of `str | None` or sequences."""
    if numeric:
        return np.asarray(values, dtype=np.float64)
    return np.fromiter(values, dtype=object, count=len(values))


def holds_text(values: np.ndarray) -> bool:
    """Tell whether a column [N] holds texts, by its first value that is not missing."""
    if values.dtype != object:
        return False
    return isinstance(next((value for value in values if value is not None), None), str)


def holds_sequences(values: np.ndarray) -> bool:
    """Tell whether a column [N] holds sequences, by its first value that is not missing."""
    if values.dtype != object:
        return False
    return isinstance(next((value for value in values if value is not None), None), tuple | list)


def sizes_of(values: np.ndarray) -> np.ndarray:
    """Return how long each text or sequence of a column [N] is, float64 [N], NaN where it is missing."""
    return column([None if value is None else len(value) for value in values], numeric=True)


def rows(columns: Columns) -> int:
    """Return the number of rows of row-aligned columns or arrays."""
    return len(next(iter(columns.values()))) if columns else 0


def take(columns: Columns, index: np.ndarray) -> dict[str, np.ndarray]:
    """Select rows of every column or array by index."""
    return {name: values[index] for name, values in columns.items()}
