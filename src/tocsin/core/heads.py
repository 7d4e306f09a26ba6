"""Heads: the declared outputs of a model, and the one place where a logit becomes a probability.

Shapes: B rows, L places, K classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tocsin.core.axes import Axes, Axis
from tocsin.core.types import Arrays

HeadKind = Literal["decision", "kinds", "span", "tokens", "number"]


@dataclass(frozen=True)
class Head:
    """One declared output. The kind says how it is compared, calibrated and watched.

    | kind | values | probability |
    |---|---|---|
    | `decision` | logit [B] for the positive class; the verdict, calibrated by a temperature | sigmoid |
    | `kinds` | logits [..., K] of classes that exclude each other | softmax |
    | `span` | logits [B, L, 2]: a span starts at this place, ends at it | sigmoid |
    | `tokens` | logit [B, L] for each place | sigmoid |
    | `number` | a value as it is | itself |

    Example: `Head("logit", "decision")`, `Head("spans", "span", (Axis("places", length="length"), 2))`.
    """

    name: str
    """Name of the output."""
    kind: HeadKind
    axes: tuple[Axis | int, ...] = ()
    """The axes behind the rows."""
    target: str | None = None
    """The training target that it is compared with; None is the head's own name."""

    @property
    def answers(self) -> str:
        """Name of the target that the head is compared with."""
        return self.target or self.name


LOGIT = Head("logit", "decision", target="label")
"""The usual head of a verdict."""


def probability(logit: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return sigmoid(logit / temperature) in float64, without overflow."""
    found: np.ndarray = np.exp(-np.logaddexp(0.0, -logit.astype(np.float64) / temperature))
    return found


def shares(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return softmax(logits / temperature) over the last axis in float64, without overflow."""
    scaled = logits.astype(np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    found: np.ndarray = scaled / scaled.sum(axis=-1, keepdims=True)
    return found


def to_scale(head: Head, values: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the values on the scale that people read: probabilities, or numbers as they are."""
    if head.kind == "number":
        return values.astype(np.float64)
    return shares(values, temperature) if head.kind == "kinds" else probability(values, temperature)


def difference(head: Head, wanted: np.ndarray, found: np.ndarray, temperature: float = 1.0) -> float:
    """Return the largest difference between two runtimes: in probability; of numbers above 1 it is relative."""
    if not wanted.size:
        return 0.0
    with np.errstate(invalid="ignore"):  # what is not a number is a difference that is none
        first, second = (to_scale(head, values, temperature) for values in (wanted, found))
    gap = np.abs(first - second)
    return float((gap / np.maximum(1.0, np.abs(first)) if head.kind == "number" else gap).max())


def strength(values: np.ndarray) -> np.ndarray:
    """Return one number a row, [B]: the largest value, which falls when a part that speaks for it is hidden."""
    return values.reshape(len(values), -1).max(axis=1) if values.ndim > 1 else values


def decision_of(heads: Iterable[Head]) -> Head:
    """Return the head of the verdict; a plan of the kind `decision` declares just one."""
    (found,) = [head for head in heads if head.kind == "decision"]
    return found


def kinds_of(heads: Iterable[Head]) -> Head | None:
    """Return the head that names the kind of a positive, [B, K], or None where there is none."""
    return next((head for head in heads if head.kind == "kinds" and len(head.axes) == 1), None)


def watched_of(heads: Sequence[Head]) -> Head:
    """Return the head that evidence is measured on: the verdict's, else the first."""
    return next((head for head in heads if head.kind == "decision"), heads[0])


def axes_of(heads: Iterable[Head]) -> Axes:
    """Return output -> its axes."""
    return {head.name: head.axes for head in heads}


def outputs_of(heads: Iterable[Head], outputs: Arrays) -> Arrays:
    """Return only the outputs that are declared, in the order of the heads."""
    return {head.name: outputs[head.name] for head in heads}
