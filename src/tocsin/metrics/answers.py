"""Answers in words beside those that were wanted: how often they agree, with intervals, and beside simpler answerers.

Source: exact match and token F1, Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text",
section 6.1.

Shapes: N rows.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from tocsin.core.provenance import Origin
from tocsin.core.types import Frozen
from tocsin.metrics.bootstrap import Redrawn, Resampling, redraw
from tocsin.metrics.evaluation import Estimate
from tocsin.metrics.significance import Outcome

EXACT, F1 = "exact_match", "token_f1"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Answered:
    """The answers of one model to the same N rows."""

    texts: Sequence[str]
    kind: Literal["model", "baseline"]
    description: str


class AnswerScores(Frozen):
    """One model on the test rows."""

    kind: Literal["model", "baseline"]
    description: str
    metrics: dict[str, Estimate] = Field(description="exact_match, token_f1: means over the rows, in [0, 1]")


class AnswerComparison(Frozen):
    """The model against another one in token F1, row by row."""

    model: str
    other: str
    difference: Estimate
    verdict: Outcome


class AnswerReport(Frozen):
    """`evaluation.json` of a model that answers with texts."""

    primary: str
    rows: int
    models: dict[str, AnswerScores]
    comparisons: tuple[AnswerComparison, ...]
    provenance: Origin

    def sentences(self) -> list[str]:
        """Say what the comparisons show."""
        return [
            f"{c.model} against {c.other} in {F1}: {c.verdict}"
            f" ({c.difference.value:+.4f}, {c.difference.low:+.4f} to {c.difference.high:+.4f})"
            for c in self.comparisons
        ]


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def match_exactly(found: str, wanted: str) -> float:
    """Return 1 where both say the same words in the same order, else 0."""
    return float(words(found) == words(wanted))


def token_f1(found: str, wanted: str) -> float:
    """Return the harmonic mean of the shares of words that both have, counted as often as they are there."""
    one, other = words(found), words(wanted)
    if not one or not other:
        return float(one == other)
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / (len(one) + len(other))


MEASURES: Mapping[str, Callable[[str, str], float]] = {EXACT: match_exactly, F1: token_f1}


def judge_answers(
    wanted: Sequence[str], answered: Mapping[str, Answered], how: Resampling, smallest: float, origin: Origin
) -> AnswerReport:
    """Score every model on the same rows, the first named beside each other one.

    smallest: a difference in token F1 below it is of no interest.
    """
    scores = {
        name: {
            metric: np.array([measure(*pair) for pair in zip(model.texts, wanted, strict=True)])
            for metric, measure in MEASURES.items()
        }
        for name, model in answered.items()
    }
    drawn = redraw(np.zeros(len(wanted)), {name: _means(rows) for name, rows in scores.items()}, how)
    models = {
        name: AnswerScores(
            kind=model.kind,
            description=model.description,
            metrics={m: _estimate(rows, drawn[name], m) for m, rows in scores[name].items()},
        )
        for name, model in answered.items()
    }
    first, *others = answered
    comparisons = [
        _compare((first, other), scores, drawn[first].minus(drawn[other]), smallest) for other in others
    ]
    return AnswerReport(
        primary=first, rows=len(wanted), models=models, comparisons=tuple(comparisons), provenance=origin
    )


def _means(rows: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], dict[str, float]]:
    return lambda counts: {name: float(np.average(values, weights=counts)) for name, values in rows.items()}


def _estimate(rows: np.ndarray, drawn: Redrawn, metric: str) -> Estimate:
    value = float(rows.mean())
    low, high = drawn.interval(metric, value)
    return Estimate(value=value, low=low, high=high)


def _compare(
    names: tuple[str, str], scores: Mapping[str, Mapping[str, np.ndarray]], drawn: Redrawn, smallest: float
) -> AnswerComparison:
    gap = _estimate(scores[names[0]][F1] - scores[names[1]][F1], drawn, F1)
    return AnswerComparison(model=names[0], other=names[1], difference=gap, verdict=_decide(gap, smallest))


def _decide(gap: Estimate, smallest: float) -> Outcome:
    assert gap.low is not None
    assert gap.high is not None
    if gap.low > 0:
        return "better"
    if gap.high < 0:
        return "worse"
    return "no evidence" if max(-gap.low, gap.high) <= smallest else "under-powered"
