"""What a detector is: the one axis along which tocsin grows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from pydantic import BaseModel

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.types import Arrays, Columns, Files, Sample, Verdict

Row = dict[str, Any]
"""One record as it was read: column name -> text, number or None."""

RuntimeName = Literal["onnx", "chat"]
"""What serves an artifact; `serve.service.RUNTIMES` says which class that is."""


@dataclass(frozen=True)
class Label:
    """The truth about one row. `positive` is None where the row carries no label."""

    positive: bool | None
    category: str | None = None


@dataclass(frozen=True)
class Layout:
    """How the files of one publisher map to a sample: column names, quirks, where the label is.

    For each row `repair` runs first; then `label` reads the truth and raises ValueError, saying what it
    saw, when it cannot; then the denied columns are taken out of the row; then `record` turns what is
    left into the fields of the sample. ValueError, TypeError or KeyError in any of them refuses the row.
    """

    name: str
    columns: frozenset[str]
    """Columns that the files have, label and denied ones too; without labels the denied ones may be missing.
    Spaces around a name do not count. A name that a file has twice is `Name.1` the second time."""
    record: Callable[[Row], Row]
    label: Callable[[Row], Label]
    denied: Mapping[str, str] = field(default_factory=dict)
    """Columns that must never become features, with the reason: the columns of the label are among them."""
    header: tuple[str, ...] | None = None
    """Column names for files that carry none."""
    repair: Callable[[Row], Iterable[str]] | None = None
    """Called once per row before `record` and `label`; mends the row in place and yields the name of
    each quirk that it mended, so that they are counted (`Infinity -> missing`)."""
    optional: frozenset[str] = frozenset()
    """Columns that are read where a file has them."""
    facets: Mapping[str, str | Callable[[Row], str | None]] = field(default_factory=dict)
    """Name -> column, denied ones too, or what is made of the row: what rows are divided, drawn, held out and
    reported by, never features."""
    skip: Callable[[Row], str | None] | None = None
    """Called first: why a row is not of this task (`a bare link`), or None; such rows are counted, not refused."""
    encoding: str | None = None
    """What bytes that are not UTF-8 are read as, counted as a repair; None refuses their rows."""


@dataclass(frozen=True)
class Schema:
    """One sample class and the file layouts that can be read as it."""

    name: str
    sample: type[Sample]
    layouts: Mapping[str, Layout]


class Encoder(Protocol):
    """Columns -> arrays, fitted once on the training split; the same object in training and in serving."""

    def fit(self, columns: Columns) -> Self:
        """Learn from the training split only."""
        ...

    def encode(self, columns: Columns) -> Arrays:
        """Return the model's inputs, row axis first; a row's arrays do not depend on its neighbours."""
        ...

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return a float32 matrix [rows, features] for baselines (NaN is missing), names, is-categorical."""
        ...

    def hide(self, arrays: Arrays) -> Iterable[tuple[str, Arrays]]:
        """Yield (part, arrays with that part hidden) for one row: what evidence is measured with."""
        ...

    def save(self) -> Files:
        """Return JSON and safetensors files that `load` reads back."""
        ...

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that it did not write."""
        ...


@runtime_checkable
class Ragged(Protocol):
    """What an encoder offers beside `Encoder` where its rows differ in length."""

    ragged: Mapping[str, str]
    """Array -> name of its second axis, free in the model: zeros behind the end of a row change no answer."""


@runtime_checkable
class TextReader(Protocol):
    """What an encoder offers beside `Encoder` where its samples are texts."""

    def texts(self, columns: Columns) -> list[str]:
        """Return each row as one text, as it was written: what baselines for text are fitted on."""
        ...

    def hide_passages(self, columns: Columns) -> Iterable[tuple[str, Arrays]]:
        """Yield (`field[start:stop]` in characters, arrays without that passage) for one row, as evidence."""
        ...


@dataclass(frozen=True)
class Calibration:
    """How scores become decisions; chosen on validation rows, sealed with the model."""

    positive: str
    negative: str
    categories: tuple[str, ...] = ()
    temperature: float = 1.0
    threshold: float = 0.5
    abstain_below: float | None = None
    """Probabilities in [abstain_below, threshold) go to a person."""
    sliced_by: str | None = None
    """Field of the sample whose values have thresholds of their own."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Value of that field -> its threshold; every other value has the common one."""


class Decode(Protocol):
    """Named outputs -> verdicts: numpy only. The artifact digest is passed through to every verdict."""

    def __call__(self, outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
        """Return one verdict a row."""
        ...


@dataclass(frozen=True)
class Target:
    """One thing that was found in what a user asked to scan: a message of a mailbox, a row of a log."""

    name: str
    """Where it lies: `inbox.mbox#12`."""
    fields: Row
    """The fields of the sample."""
    facts: Row = field(default_factory=dict)
    """JSON values that people want to see and the model does not: links, attachments, what was cut."""
    remarks: tuple[str, ...] = ()
    """What is noteworthy among the facts, a sentence each, the worst first."""
    ecs: Row = field(default_factory=dict)
    """What it is in the field sets of the Elastic Common Schema, nested: `{"email": {"subject": ...}}`."""


@dataclass(frozen=True)
class Detector:
    """One kind of model with everything that makes it different from the others."""

    name: str
    summary: str
    positive: str
    negative: str
    schemas: Mapping[str, Schema]
    config: type[BaseModel]
    """The `model:` section of a recipe."""
    encoder: Callable[[BaseModel, Schema], Encoder]
    """(model config, schema) -> an encoder that is not fitted yet."""
    load_encoder: Callable[[Files], Encoder]
    decode: Decode
    plan: str
    """`module:function`, imported only by training: (PlanContext) -> Plan."""
    stages: tuple[str, ...]
    folder: Path
    demo: str
    """`module:function`: (folder, seed) -> path of a CSV file with made data."""
    runtime: RuntimeName = "onnx"
    answer: str | None = None
    """`module:function` of the runtime `chat`: (an artifact's files) -> LanguageModel, see `core.language`."""
    scan: str | None = None
    """`module:function`: (path, or binary stream of what came by stdin) -> iterator of Target. It yields what it
    can read, whatever the bytes are, and raises InputError only where there is nothing to be read."""

    def schema(self, name: str) -> Schema:
        """Return the schema of a sample by its name; InputError tells the nearest."""
        if name not in self.schemas:
            known = list(self.schemas)
            raise InputError(
                f"detector {self.name!r} has no sample {name!r}{did_you_mean(name, known)} "
                f"(there are: {', '.join(known)})"
            )
        return self.schemas[name]
