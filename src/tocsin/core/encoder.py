"""Columns in, arrays out, verdicts back: the two ends of a model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np

from tocsin.core.axes import Axes
from tocsin.core.heads import Head
from tocsin.core.types import Arrays, Columns, Files, Place, Verdict


class Encoder(Protocol):
    """Columns -> arrays, fitted once on the training split; the same object in training and in serving.

    Example:
        encoder = detector.encoder(recipe.model, schema).fit(train.columns)
        arrays = encoder.encode(columns)                      # {"tokens": [B, L], "length": [B]}
        encoder.axes                                          # {"tokens": (Axis("places", length="length"),)}
        again = detector.load_encoder(encoder.save())         # the same arrays to the byte

    """

    @property
    def axes(self) -> Axes:
        """Return array -> its axes behind the rows; arrays of one size in every row need not be named."""
        ...

    def fit(self, columns: Columns) -> Self:
        """Learn from the training split only."""
        ...

    def encode(self, columns: Columns) -> Arrays:
        """Return the model's inputs, row axis first; a row's arrays do not depend on its neighbours.

        But for its padding: an axis may be as long as the longest row of the call.
        """
        ...

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        """Return a float32 matrix [rows, features] for baselines (NaN is missing), names, is-categorical."""
        ...

    def hide(self, columns: Columns, arrays: Arrays) -> Iterable[tuple[Place, Arrays]]:
        """Yield (place, arrays with what stands there hidden) for one row: what evidence is measured with."""
        ...

    def watch(self, arrays: Arrays) -> Columns:
        """Return what of the arrays is worth watching for drift: name -> one number a row, float64 [N]."""
        ...

    def save(self) -> Files:
        """Return JSON and safetensors files that `load` reads back."""
        ...

    @classmethod
    def load(cls, files: Files) -> Self:
        """Rebuild a fitted encoder; InputError on files that it did not write."""
        ...


@runtime_checkable
class HasTexts(Protocol):
    """What an encoder offers beside `Encoder` where its samples are texts."""

    def texts(self, columns: Columns) -> list[str]:
        """Return each row as one text, as it was written: what baselines for text are fitted on."""
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


@dataclass(frozen=True)
class Asked:
    """What a model was asked: the rows as they came in, and as they went into the model."""

    columns: Columns
    arrays: Arrays
    heads: tuple[Head, ...]
    """What the outputs are."""


class Decode(Protocol):
    """Named outputs, and what was asked -> verdicts: numpy only. The digest is passed through to every verdict.

    A detector that has no more to say than a probability and a kind takes `core/verdicts.decode`.
    """

    def __call__(
        self, outputs: Arrays, asked: Asked, calibration: Calibration, artifact: str
    ) -> list[Verdict]:
        """Return one verdict a row."""
        ...
