"""The nouns that cross every seam: columns in, arrays through, verdicts out."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Arrays = dict[str, np.ndarray]
"""Named arrays with the row axis first; the names are exactly the ONNX input (or output) names."""

Columns = Mapping[str, np.ndarray]
"""Validated raw fields, row-aligned: an array each, float64 with NaN for missing or object (`str | None`)."""

Files = dict[str, bytes]
"""Relative POSIX path -> content: how encoders and artifacts are saved and loaded without touching a disk."""


class Sample(BaseModel):
    """One raw record: a row of a training file and the body of an HTTP request are the same class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Evidence(BaseModel):
    """One reason for a verdict. `weight` is the fall of the logit when this part is hidden from the model."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["feature", "passage", "path"]
    name: str
    value: str
    weight: float


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
    """Tell whether a field holds numbers (then its column is float64) or text (then it is object)."""
    return _holds_numbers(sample.model_fields[name].annotation)


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
    """Make one column: float64 with NaN where a value is None, or an object array of `str | None`."""
    if numeric:
        return np.asarray(values, dtype=np.float64)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def rows(columns: Columns) -> int:
    """Return the number of rows of row-aligned columns or arrays."""
    return len(next(iter(columns.values()))) if columns else 0


def take(columns: Columns, index: np.ndarray) -> dict[str, np.ndarray]:
    """Select rows of every column or array by index."""
    return {name: values[index] for name, values in columns.items()}
