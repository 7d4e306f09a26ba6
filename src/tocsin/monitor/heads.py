"""What the outputs of a model looked like: a distribution for each declared head, by its kind.

Shapes: N rows, L places, K classes.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from tocsin.core.axes import Axis
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import Head, to_scale
from tocsin.core.types import Arrays, rows, take
from tocsin.monitor.columns import Described, NumberColumn, Quantiles, Share, describe_numbers, quantiles

SCORE_BINS = 20
CALLED = 0.5
"""Probability from which a place counts: it has the mark, or a span starts or ends there."""


class Scores(Described):
    """Probabilities: their mean and the share in each of 20 equal bins."""

    mean: float | None
    edges: tuple[float, ...]
    shares: tuple[Share, ...]


class DecisionProfile(Described):
    """The verdict: calibrated probabilities, and what became of the rows."""

    kind: Literal["decision"] = "decision"
    probability: Scores
    quantiles: Quantiles
    above: Share = Field(description="share of the rows at or above their threshold")
    abstained: Share = Field(description="share of the rows in the band that goes to a person")


class KindsProfile(Described):
    """Classes that exclude each other."""

    kind: Literal["kinds"] = "kinds"
    shares: dict[str, Share] = Field(description="class -> share of the rows, or places, that it is first in")
    first: Quantiles = Field(description="probability of the first class")


class SpanProfile(Described):
    """Spans. One starts where that is probable, and ends at the next place where that is probable."""

    kind: Literal["span"] = "span"
    none: Share = Field(description="share of the rows without a span")
    lengths: Quantiles = Field(description="places of a span")


class TokensProfile(Described):
    """A mark for each place."""

    kind: Literal["tokens"] = "tokens"
    marked: Share = Field(description="share of all places that have the mark")
    per_row: Quantiles = Field(description="share of a row's places that have the mark")


class NumberProfile(Described):
    """Values as they are."""

    kind: Literal["number"] = "number"
    values: NumberColumn


HeadProfile = Annotated[
    DecisionProfile | KindsProfile | SpanProfile | TokensProfile | NumberProfile, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Answers:
    """What a model answered, with what it takes to read it."""

    outputs: Arrays
    """Head -> its values, row axis first."""
    asked: Asked
    calibration: Calibration

    @property
    def thresholds(self) -> np.ndarray:
        """The threshold of each row, float64 [N]."""
        how = self.calibration
        if how.sliced_by is None:
            return np.full(rows(self.outputs), how.threshold)
        values = self.asked.columns[how.sliced_by].tolist()
        return np.array([how.thresholds.get(value, how.threshold) for value in values])

    def take(self, index: np.ndarray) -> Self:
        """Select rows by index."""
        columns, arrays = take(self.asked.columns, index), take(self.asked.arrays, index)
        asked = replace(self.asked, columns=columns, arrays=arrays)
        return replace(self, outputs=take(self.outputs, index), asked=asked)

    def scaled(self, head: Head) -> np.ndarray:
        """Return probabilities, or numbers as they are, float64; NaN behind the end of a row."""
        temperature = self.calibration.temperature if head.kind == "decision" else 1.0
        found = to_scale(head, self.outputs[head.name], temperature)
        for place, axis in enumerate(head.axes, start=1):
            if isinstance(axis, Axis):
                inside = np.arange(found.shape[place]) < self.asked.arrays[axis.length][:, None]
                shape = [len(found)] + [1] * (found.ndim - 1)
                shape[place] = found.shape[place]
                found = np.where(inside.reshape(shape), found, np.nan)
        return found


def describe_head(head: Head, answers: Answers) -> HeadProfile:
    """Describe the values of one head."""
    values = answers.scaled(head)
    if head.kind == "decision":
        return describe_decision(values, answers.thresholds, answers.calibration.abstain_below)
    if head.kind == "kinds":
        return _describe_kinds(values, answers.calibration.categories)
    if head.kind == "span":
        return _describe_spans(values)
    if head.kind == "tokens":
        return _describe_tokens(values)
    return NumberProfile(values=describe_numbers(values[~np.isnan(values)]))


def strongest(head: Head, answers: Answers) -> np.ndarray:
    """Return the largest value of each row, float64 [N]: NaN where a row has none."""
    values = answers.scaled(head)
    if values.ndim == 1:
        return values
    behind = tuple(range(1, values.ndim))
    found = np.where(np.isnan(values), -np.inf, values).max(axis=behind, initial=-np.inf)
    return np.where(np.isfinite(found), found, np.nan)


def describe_decision(
    probability: np.ndarray, thresholds: np.ndarray, abstain_below: float | None
) -> DecisionProfile:
    """Describe probabilities [N] of the positive class, beside the rows' thresholds [N]."""
    total, above = max(len(probability), 1), probability >= thresholds
    unsure = ~above & (probability >= (np.inf if abstain_below is None else abstain_below))
    return DecisionProfile(
        probability=describe_scores(probability),
        quantiles=quantiles(probability),
        above=int(above.sum()) / total,
        abstained=int(unsure.sum()) / total,
    )


def describe_scores(probability: np.ndarray) -> Scores:
    """Describe probabilities [N] in [0, 1]."""
    counts, edges = np.histogram(probability, bins=SCORE_BINS, range=(0, 1))
    total = max(len(probability), 1)
    mean = float(probability.mean()) if len(probability) else None
    return Scores(mean=mean, edges=tuple(edges.tolist()), shares=tuple((counts / total).tolist()))


def _describe_kinds(shares: np.ndarray, categories: tuple[str, ...]) -> KindsProfile:
    """shares: [..., K]; a class that has no name has its number."""
    size = shares.shape[-1]
    names = categories if len(categories) == size else tuple(map(str, range(size)))
    each = shares.reshape(-1, size)
    each = each[~np.isnan(each).any(axis=1)]
    found = np.bincount(each.argmax(axis=1), minlength=size) / max(len(each), 1)
    return KindsProfile(
        shares=dict(zip(names, found.tolist(), strict=True)), first=quantiles(each.max(axis=1))
    )


def _describe_spans(probability_NL2: np.ndarray) -> SpanProfile:
    starts, ends = np.moveaxis(probability_NL2 >= CALLED, -1, 0)
    size = starts.shape[1]
    end_at = np.where(ends, np.arange(size), size)
    next_end = np.minimum.accumulate(end_at[:, ::-1], axis=1)[:, ::-1]
    row, start = np.nonzero(starts & (next_end < size))
    lengths = next_end[row, start] - start + 1
    total = len(starts)
    return SpanProfile(none=1 - len(np.unique(row)) / total if total else 0.0, lengths=quantiles(lengths))


def _describe_tokens(probability_NL: np.ndarray) -> TokensProfile:
    places = (~np.isnan(probability_NL)).sum(axis=1)
    marked = (probability_NL >= CALLED).sum(axis=1)
    return TokensProfile(
        marked=int(marked.sum()) / max(int(places.sum()), 1),
        per_row=quantiles(marked[places > 0] / places[places > 0]),
    )
