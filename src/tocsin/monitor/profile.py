"""The profile: what rows, arrays and outputs looked like when the model was proved, to measure drift against.

Shapes: N rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator
from pydantic_core import from_json

from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.types import Columns
from tocsin.monitor.columns import (
    Column,
    Described,
    NumberColumn,
    TextColumn,
    as_name,
    describe_column,
    describe_numbers,
)
from tocsin.monitor.heads import (
    Answers,
    DecisionProfile,
    HeadProfile,
    describe_decision,
    describe_head,
    strongest,
)

PROFILE = "profile.json"
SCHEMA_VERSION = 1
SAMPLED = 1_000
"""Rows of the reference: with so many, distributions that differ by 5 % can be told apart."""
FEW = 10
"""A value of a slice with fewer rows is not named: it could be a person."""
Sampled = tuple[float | None, ...]


class Slice(Described):
    """The rows that have one value of a facet."""

    rows: int
    decision: DecisionProfile | None = Field(description="None where the model gives no verdict")


class Reference(Described):
    """Numbers of single rows, for tests that compare two samples. None is missing. There is no text in it.

    `watched` and `scores` are of the same rows. The values of a column are drawn apart and sorted, so that no row
    can be put together again.
    """

    watched: dict[str, Sampled]
    scores: dict[str, Sampled] = Field(description="head -> the largest calibrated value of each row")
    columns: dict[str, tuple[float, ...]] = Field(description="number column -> values, rising")

    @model_validator(mode="after")
    def _is_aligned(self) -> "Reference":
        if len({len(values) for values in [*self.watched.values(), *self.scores.values()]}) > 1:
            raise ValueError("watched arrays and scores are not of the same rows")
        return self


class Profile(Described):
    """`profile.json`.

    Example: `parse_profile(artifact.files["profile.json"]).columns["bytes"].quantiles`.
    """

    schema_version: Literal[1] = 1
    rows: int
    columns: dict[str, Column]
    arrays: dict[str, NumberColumn] = Field(description="what the encoder says is worth watching")
    heads: dict[str, HeadProfile]
    slices: dict[str, dict[str, Slice]] = Field(description="facet -> value -> its rows")
    reference: Reference


@dataclass(frozen=True)
class Observed:
    """Rows, as the model saw and answered them: those of the profile, or later ones to compare with it."""

    answers: Answers
    watched: Columns = field(default_factory=dict)
    """What the encoder's `watch` returned: name -> numbers [N]."""
    facets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> [N] object, text or None: where a row comes from."""

    @property
    def columns(self) -> Columns:
        """The fields of the rows."""
        return self.answers.asked.columns

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the outputs are."""
        return self.answers.asked.heads


def profile(observed: Observed) -> Profile:
    """Describe rows and what a model made of them."""
    count = _rows(observed)
    return Profile(
        rows=count,
        columns={name: describe_column(values) for name, values in observed.columns.items()},
        arrays={name: describe_numbers(values) for name, values in observed.watched.items()},
        heads={head.name: describe_head(head, observed.answers) for head in observed.heads},
        slices=dict(_slices(observed)),
        reference=_draw(observed, count),
    )


def _rows(observed: Observed) -> int:
    known = [*observed.answers.outputs.values(), *observed.columns.values(), *observed.watched.values()]
    return len(known[0]) if known else 0


def _slices(observed: Observed) -> Iterator[tuple[str, dict[str, Slice]]]:
    """Yield what the rows differ in, with the rows of each value: of names only, never of free text."""
    answers = observed.answers
    decisions = [answers.scaled(head) for head in observed.heads if head.kind == "decision"]
    thresholds, below = answers.thresholds, answers.calibration.abstain_below

    def describe(index: np.ndarray) -> Slice:
        found = [describe_decision(p[index], thresholds[index], below) for p in decisions]
        return Slice(rows=len(index), decision=found[0] if found else None)

    by = answers.calibration.sliced_by
    own = {} if by is None else {by: observed.columns[by]}
    for name, values in {**observed.facets, **own}.items():
        column = describe_column(values)
        if isinstance(column, TextColumn) and 1 < column.distinct <= len(column.top):
            yield name, {as_name(value): describe(index) for value, index in _groups(values)}


def _groups(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each value that enough rows have, with those rows."""
    for value in sorted({value for value in values.tolist() if value is not None}):
        index = np.flatnonzero(values == value)
        if len(index) >= FEW:
            yield value, index


def _draw(observed: Observed, count: int) -> Reference:
    """Draw rows without regard to their order; the same rows give the same sample."""
    generator = np.random.default_rng(0)
    index = _choose(generator, count)
    drawn = observed.answers.take(index)
    numbers = {n: v[np.isfinite(v)] for n, v in observed.columns.items() if v.dtype != object}
    return Reference(
        watched={name: _optional(values[index]) for name, values in observed.watched.items()},
        scores={head.name: _optional(strongest(head, drawn)) for head in observed.heads},
        columns={n: tuple(np.sort(v[_choose(generator, len(v))]).tolist()) for n, v in numbers.items()},
    )


def _choose(generator: np.random.Generator, count: int) -> np.ndarray:
    return np.sort(generator.choice(count, min(count, SAMPLED), replace=False, shuffle=False))


def _optional(values: np.ndarray) -> Sampled:
    return tuple(v if np.isfinite(v) else None for v in values.astype(np.float64).tolist())


def dump_profile(found: Profile) -> bytes:
    """Return `profile.json`: the same rows give the same bytes."""
    return found.model_dump_json().encode() + b"\n"


def parse_profile(raw: bytes) -> Profile:
    """Read `profile.json`; InputError for another version, and for what `dump_profile` did not write."""
    try:
        value: Any = from_json(raw)
    except ValueError as error:
        raise InputError(f"{PROFILE} is not JSON: {error}") from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{PROFILE} has the schema_version {str(version)[:40]}, and {SCHEMA_VERSION} is read here: "
            "train the model again, or use the version of tocsin that sealed it"
        )
    try:
        return Profile.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{PROFILE} is not valid: {where}: {first['msg']}") from None
