"""What a baseline is: a simpler model, fitted on the same rows, that a model must beat before it is worth its cost.

A baseline is found by its file, which holds `BASELINE`: `tocsin/baselines/<name>.py` serves every detector, and
`baselines/<name>.py` in a detector's folder serves that one. Nothing else names it.

Shapes: N rows, F features.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from tocsin.core.encoder import Encoder, HasTexts
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, rows

Flat = tuple[np.ndarray, list[str], list[bool]]
"""What `Encoder.flatten` returns: float32 [N, F] with NaN for missing, names, is-categorical."""

Reads = Literal["flat", "texts"] | tuple[str, ...]
"""The encoder's flat features, the texts of the samples, or arrays by their names; `()` reads nothing."""

Found = TypeVar("Found")


class Rung(IntEnum):
    """How much a baseline can learn. A report should show one baseline of each rung."""

    CONSTANT = 0
    RULE = 1
    LINEAR = 2
    TREES = 3


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows as baselines read them. Each form is made once, when the first baseline asks for it."""

    encoder: Encoder
    arrays: Arrays
    columns: Columns = field(default_factory=dict)
    _known: dict[Callable[["Inputs"], Any], Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return rows(self.arrays)

    @cached_property
    def flat(self) -> Flat:
        """The encoder's flat features."""
        return self.encoder.flatten(self.arrays)

    @cached_property
    def texts(self) -> list[str]:
        """Each row as one text; InputError where the samples are no texts."""
        if not isinstance(self.encoder, HasTexts):
            raise InputError("these samples are no texts")
        return self.encoder.texts(self.columns)

    def once(self, make: Callable[["Inputs"], Found]) -> Found:
        """Return what a function makes of these rows; it runs only the first time, whichever baseline asks."""
        if make not in self._known:
            self._known[make] = make(self)
        found: Found = self._known[make]
        return found


@dataclass(frozen=True, eq=False)
class Examples(Inputs):
    """Rows with their labels."""

    label: np.ndarray = field(kw_only=True)
    """int64 [N] of 0 and 1."""


class SimpleModel(Protocol):
    """What a fit returns: any frozen class with these two."""

    @property
    def description(self) -> str:
        """The model in a few words, for the report."""
        ...

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]; a row's answer does not depend on its neighbours."""
        ...


class Nodes(Protocol):
    """An ONNX graph in the making (`nn/onnx_graph.py`): each call adds to it and returns the name of a value."""

    @property
    def matrix(self) -> str:
        """The flat features, float64 [N, F] with NaN for missing."""
        ...

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> str:
        """Add a node with one output; attributes that are numpy arrays become tensors."""
        ...

    def cast(self, value: str, kind: str) -> str:
        """Change the type of a value, such as to `int64`."""
        ...

    def hold(self, values: np.ndarray) -> str:
        """Add a constant."""
        ...


Model = TypeVar("Model", bound=SimpleModel)


@dataclass(frozen=True)
class Baseline(Generic[Model]):
    """One simpler model: what it reads, how it is fitted, and how it is shipped.

    Example, a whole file `baselines/longest.py`, which flags a row whose array `length` is long:

        @dataclass(frozen=True)
        class Longest:
            limit: float
            description: str = "longer than most"

            def predict(self, inputs: Inputs) -> np.ndarray:
                return (inputs.arrays["length"] > self.limit).astype(np.float64)

        def fit(train: Examples, valid: Examples, seed: int) -> Longest:
            return Longest(float(np.quantile(train.arrays["length"], 0.9)))

        BASELINE = Baseline(reads=("length",), fit=fit, rung=Rung.RULE)
    """

    reads: Reads
    fit: Callable[[Examples, Examples, int], Model]
    """(training rows, validation rows, seed) -> a fitted model; the file imports its library in here."""
    graph: Callable[[Nodes, Model], str] | None = None
    """Adds the fitted model to a graph and returns the name of its logit, float64 [N]; None cannot be shipped."""
    rung: Rung | None = None
    """None where it stands beside the ladder."""
    averaged: bool = False
    """Whether `export.ship: average` mixes it in where `export.weights` says nothing."""

    def missing(self, arrays: Arrays) -> list[str]:
        """Return the arrays that it reads and that are not there."""
        named = self.reads if isinstance(self.reads, tuple) else ()
        return [name for name in named if name not in arrays]

    def unreadable(self, encoder: Encoder, arrays: Arrays) -> str:
        """Say what it reads and does not get, such as `texts, and these samples are none`; empty if it gets all."""
        if self.reads == "texts":
            return "" if isinstance(encoder, HasTexts) else "texts, and these samples are none"
        missing = self.missing(arrays)
        return f"{', '.join(missing)}, and the arrays of these samples hold none" if missing else ""


@dataclass(frozen=True)
class Fitted(Generic[Model]):
    """A fitted baseline."""

    name: str
    baseline: Baseline[Model]
    model: Model
    seconds: float


def fit_baseline(
    name: str, baseline: Baseline[Model], train: Examples, valid: Examples, seed: int
) -> Fitted[Model]:
    """Fit a baseline; InputError where training holds one class only, or none of what the baseline reads."""
    reason = baseline.unreadable(train.encoder, train.arrays)
    if reason:
        raise InputError(f"{name} reads {reason}")
    if len(np.unique(train.label)) < 2:
        raise InputError(
            f"baselines need both classes in training, all {len(train.label)} rows are {train.label[:1]}"
        )
    start = time.perf_counter()
    model = baseline.fit(train, valid, seed)
    return Fitted(name, baseline, model, time.perf_counter() - start)
