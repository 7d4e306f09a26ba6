"""The nouns that cross every seam: columns in, arrays through, verdicts out."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Arrays = dict[str, np.ndarray]
"""Named arrays with the row axis first; the names are exactly the ONNX input (or output) names."""

Columns = Mapping[str, np.ndarray]
"""Validated raw fields, one array a field, row-aligned: float64 with NaN for missing, or object (`str | None`)."""

Files = dict[str, bytes]
"""Relative POSIX path -> content: how encoders and artifacts are saved and loaded without touching a disk."""


class Sample(BaseModel):
    """One raw record: a row of a training file and the body of an HTTP request are the same class."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    category: str | None = Field(default=None, description="most probable kind of a positive: family, CWE, technique")
    evidence: tuple[Evidence, ...] = ()
    artifact: str = Field(description="sha256 digest of the artifact that answered")


def field_names(sample: type[Sample]) -> list[str]:
    """Return the fields of a sample class in their declared order, which is the order of features."""
    return list(sample.model_fields)


def is_numeric(sample: type[Sample], name: str) -> bool:
    """Tell whether a field holds numbers (then its column is float64) or text (then it is object)."""
    annotation = str(sample.model_fields[name].annotation)
    return "float" in annotation or "int" in annotation


def tabulate(samples: Sequence[Sample], sample: type[Sample]) -> dict[str, np.ndarray]:
    """Turn validated samples into columns; the same call serves a training file and one request."""
    values = [s.__dict__ for s in samples]
    return {name: column([v[name] for v in values], is_numeric(sample, name)) for name in field_names(sample)}


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
