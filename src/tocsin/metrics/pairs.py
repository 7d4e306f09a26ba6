"""Two models on the same labelled rows: differences in pairs, tests, what would have been found, and a verdict.

Shapes: N rows, R resamples, S slices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from types import MappingProxyType

import numpy as np
from pydantic import Field

from tocsin.core.types import Frozen
from tocsin.metrics.bootstrap import Redrawn, Resampling, bca_p, redraw
from tocsin.metrics.classification import Judged, measure
from tocsin.metrics.evaluation import FEW, BinaryEvaluation, Estimate, describe, estimate, units_of
from tocsin.metrics.significance import (
    LEVEL,
    McNemar,
    Outcome,
    decide,
    detectable,
    holm,
    mcnemar,
    needed_rows,
    standard_error,
    units_behind,
)

METRICS = ("roc_auc", "recall", "false_positive_rate", "f1")
CLASS_BEHIND: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"recall": (1, "positives"), "false_positive_rate": (0, "negatives")}
)
"""Metric that is a share of one class -> that class and its name: McNemar's test is exactly about it."""
RATE_PART = 0.1
"""The smallest interesting difference in false positives, as a part of the rate that was asked for."""


class Change(Frozen):
    """What the first model has more than the second in one metric, and what that is worth."""

    metric: str
    first: float | None
    second: float | None
    difference: Estimate = Field(description="first minus second, with the interval of this metric alone")
    p: float | None
    p_holm: float | None = Field(description="adjusted for the number of metrics, or of slices: what decides")
    minimum_detectable: float | None = Field(
        description="found four times of five by the strictest of the tests"
    )
    smallest: float = Field(description="the smallest difference that is of interest")
    needed_rows: int | None = Field(
        None, description="so many rows like these would find the smallest, where these do not"
    )
    verdict: Outcome


class Discordant(Frozen):
    """Rows that only one of the two answers rightly, and McNemar's test of it."""

    among: str
    only_first: int
    only_second: int
    p: float
    exact: bool


class SliceChange(Change):
    """The same within one slice and one class."""

    by: str
    name: str
    rows: int
    only_first: int
    only_second: int


class Pair(Frozen):
    """Everything about two models on the same rows."""

    rows: int
    positives: int
    groups: int = Field(
        description="groups of rows that know nothing of each other; near-duplicates share one"
    )
    resamples: int
    metrics: tuple[Change, ...]
    tests: tuple[Discordant, ...]
    slices: tuple[SliceChange, ...]
    untested_slices: int = Field(description=f"slices with fewer than {FEW} rows of a class")
    evaluations: tuple[BinaryEvaluation, BinaryEvaluation]
    verdict: Outcome


@dataclass(frozen=True)
class Interest:
    """How small a difference still matters."""

    smallest: float = 0.01
    max_false_positive_rate: float = 0.01

    def of(self, metric: str) -> float:
        """Return the smallest interesting difference in a metric."""
        rate = RATE_PART * self.max_false_positive_rate
        return rate if metric == "false_positive_rate" else self.smallest


def compare_pair(
    first: Judged, second: Judged, slices: Mapping[str, np.ndarray], how: Resampling, interest: Interest
) -> Pair:
    """Compare two judgements of the same rows.

    slices: name -> [N] object, where None is in no slice. The chance that two equal models are told apart in any
    metric is at most 5 %, and the same again for any slice.
    """
    redrawn = redraw(first.truth, {"first": partial(measure, first), "second": partial(measure, second)}, how)
    drawn = redrawn["first"].minus(redrawn["second"])
    tests = {among: _test(first, second, how, rows) for among, rows in _sides(first.truth).items()}
    metrics = _changes((first, second), drawn, tests, how, interest)
    lines, untested = _slice_changes((first, second), slices, how, interest)
    groups = len(first.truth) if how.group is None else len(np.unique(how.group))
    return Pair(
        rows=len(first.truth),
        positives=int(first.truth.sum()),
        groups=groups,
        resamples=how.resamples,
        metrics=metrics,
        tests=tuple(
            Discordant(among=among, only_first=t.only_first, only_second=t.only_second, p=t.p, exact=t.exact)
            for among, t in tests.items()
        ),
        slices=lines,
        untested_slices=untested,
        evaluations=(
            describe(first, redrawn["first"], slices, how),
            describe(second, redrawn["second"], slices, how),
        ),
        verdict=overall([m.verdict for m in metrics]),
    )


def overall(verdicts: Sequence[Outcome]) -> Outcome:
    """Return one verdict: better or worse where no metric says the opposite; a trade is no evidence."""
    better, worse = "better" in verdicts, "worse" in verdicts
    if better != worse:
        return "better" if better else "worse"
    return "under-powered" if not better and "under-powered" in verdicts else "no evidence"


def _sides(truth: np.ndarray) -> dict[str, np.ndarray]:
    return {"all rows": np.ones_like(truth), "positives": truth, "negatives": ~truth}


def _right(judged: Judged) -> np.ndarray:
    right: np.ndarray = (judged.cell == 0) | (judged.cell == 3)
    return right


def _test(first: Judged, second: Judged, how: Resampling, rows: np.ndarray) -> McNemar:
    group = None if how.group is None else how.group[rows]
    return mcnemar(_right(first)[rows], _right(second)[rows], group)


def _changes(
    pair: tuple[Judged, Judged],
    drawn: Redrawn,
    tests: Mapping[str, McNemar],
    how: Resampling,
    interest: Interest,
) -> tuple[Change, ...]:
    values = [measure(judged) for judged in pair]
    units = units_of(pair[0].truth, how.group)
    differences = {m: values[0][m] - values[1][m] for m in METRICS}
    p = [
        tests[CLASS_BEHIND[m][1]].p
        if m in CLASS_BEHIND
        else bca_p(drawn.replicates[m], differences[m], drawn.left_out[m])
        for m in METRICS
    ]
    p = [value if np.isfinite(differences[m]) else float("nan") for m, value in zip(METRICS, p, strict=True)]
    found = []
    for metric, raw, adjusted in zip(METRICS, p, holm(p), strict=True):
        error = standard_error(drawn.replicates[metric], units_behind(metric, units))
        interval = drawn.interval(metric, differences[metric])
        facts = _weigh(metric, differences[metric], adjusted, detectable(error, len(METRICS)), interest)
        found.append(
            Change(
                metric=metric,
                first=estimate(values[0][metric]).value,
                second=estimate(values[1][metric]).value,
                difference=estimate(differences[metric], interval),
                p=estimate(raw).value,
                needed_rows=_needed(len(pair[0].truth), facts),
                **facts,
            )
        )
    return tuple(found)


def _weigh(
    metric: str, difference: float, p: float, minimum: float, interest: Interest
) -> dict[str, "float | Outcome | None"]:
    smallest = interest.of(metric)
    return {
        "p_holm": estimate(p).value,
        "minimum_detectable": estimate(minimum).value,
        "smallest": smallest,
        "verdict": decide(metric, difference, p < LEVEL, minimum, smallest),
    }


def _needed(rows: int, facts: Mapping[str, "float | Outcome | None"]) -> int | None:
    minimum, smallest = facts["minimum_detectable"], facts["smallest"]
    if (
        facts["verdict"] != "under-powered"
        or not isinstance(minimum, float)
        or not isinstance(smallest, float)
    ):
        return None
    return needed_rows(rows, minimum, smallest)


@dataclass(frozen=True)
class _Slice:
    by: str
    name: str
    metric: str
    rows: np.ndarray


def _slice_changes(
    pair: tuple[Judged, Judged], slices: Mapping[str, np.ndarray], how: Resampling, interest: Interest
) -> tuple[tuple[SliceChange, ...], int]:
    """Test each class of each slice that has the rows for it; returns the lines, and how many had not."""
    cells = list(_cells(pair[0].truth, slices))
    tested = [cell for cell in cells if cell.rows.sum() >= FEW]
    tests = [_test(*pair, how, cell.rows) for cell in tested]
    adjusted = holm([test.p for test in tests])
    lines = [
        _slice_change(cell, pair, test, p, _slice_error(cell, pair, how, len(tested)), interest)
        for cell, test, p in zip(tested, tests, adjusted, strict=True)
    ]
    return tuple(lines), len(cells) - len(tested)


def _cells(truth: np.ndarray, slices: Mapping[str, np.ndarray]) -> list[_Slice]:
    found = []
    for by, values in slices.items():
        named = np.array([None if v is None else str(v) for v in values], dtype=object)
        for name in sorted({v for v in named if v is not None}):
            inside = named == name
            for metric, (label, _) in CLASS_BEHIND.items():
                rows = inside & (truth == label)
                if rows.any():
                    found.append(_Slice(by, name, metric, rows))
    return found


def _slice_error(cell: _Slice, pair: tuple[Judged, Judged], how: Resampling, tests: int) -> float:
    """Return the minimum detectable difference of a slice, one more discordant row than there is."""
    gain = (pair[0].cell % 2)[cell.rows].astype(np.int64) - (pair[1].cell % 2)[cell.rows]
    group = np.arange(len(gain)) if how.group is None else how.group[cell.rows]
    net = np.bincount(np.unique(group, return_inverse=True)[1], gain)
    return detectable(sqrt(np.sum(net**2) + 1) / len(gain), tests)


def _slice_change(
    cell: _Slice, pair: tuple[Judged, Judged], test: McNemar, p: float, minimum: float, interest: Interest
) -> SliceChange:
    shares = [float((judged.cell % 2)[cell.rows].mean()) for judged in pair]
    difference = shares[0] - shares[1]
    facts = _weigh(cell.metric, difference, p, minimum, interest)
    return SliceChange(
        metric=cell.metric,
        first=shares[0],
        second=shares[1],
        difference=estimate(difference),
        p=test.p,
        by=cell.by,
        name=cell.name,
        rows=int(cell.rows.sum()),
        only_first=test.only_first,
        only_second=test.only_second,
        needed_rows=_needed(int(cell.rows.sum()), facts),
        **facts,
    )
