"""Compute reported numbers again, from the sealed model and the data, and say whether they are the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.provenance import Scoring
from tocsin.data.likeness import dependent_rows
from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.comparison import NOVELTY, Truth, slices_of
from tocsin.metrics.evaluation import BinaryEvaluation, Estimate, evaluate_binary
from tocsin.workflows.judging.answers import ask, find_test_rows, scoring_of, sealed_recipe, sealed_report
from tocsin.workflows.using.stores import Source

TOLERANCE = 1e-6
"""Another processor, or another number of rows in a call, changes scores in the eighth digit."""
EVERY = "all"


@dataclass(frozen=True)
class Replayed:
    """One number as it was reported and as it came out again, with its interval."""

    metric: str
    reported: Estimate
    computed: Estimate
    same: bool


@dataclass(frozen=True)
class ReplayResult:
    """What was computed again, on which rows, with what."""

    rows: int
    found: str
    numbers: tuple[Replayed, ...]
    same: bool
    """Whether every number came out as it was reported."""
    provenance: Scoring

    @property
    def table(self) -> list[tuple[Any, ...]]:
        """Return (metric, reported, computed, answer) lines."""
        return [
            (n.metric, _show(n.reported), _show(n.computed), "same" if n.same else "different")
            for n in self.numbers
        ]


def replay(source: Source, metric: str, data: Sequence[str]) -> ReplayResult:
    """Score the test rows again and recompute one reported number and its interval, or `all`.

    metric: a metric of the manifest, such as `roc_auc`, or one of a slice, such as `category=dos:recall`.
    InputError for one that was not reported, CheckFailed when the data does not hold the test rows.
    """
    predictor = source.predictor()
    artifact = predictor.artifact
    recipe, report = sealed_recipe(artifact), sealed_report(artifact)
    sealed = {name: Estimate(**e) for name, e in artifact.manifest.metrics.items()}
    reported = numbers_of(report.models[report.primary]) | sealed
    wanted = list(reported) if metric == EVERY else [metric]
    if metric not in (EVERY, *reported):
        hint = did_you_mean(metric, list(reported))
        raise InputError(f"{metric!r} was not reported{hint}; the report has {', '.join(reported)}")
    test = find_test_rows(predictor, data)
    rows = test.dataset
    answers = ask(predictor, rows)
    how = Resampling(report.resamples, report.provenance.seed, group=dependent_rows(rows, recipe.split))
    again = numbers_of(
        evaluate_binary(
            rows.label,
            answers.probability,
            artifact.manifest.calibrated.threshold,
            own=answers.threshold,
            slices=slices_of(Truth(rows.label, rows.label, rows.slices(), rows.category)),
            how=how,
        )
    )
    lines = tuple(_hold(name, reported[name], again.get(name, Estimate(value=None))) for name in wanted)
    same = all(line.same for line in lines)
    return ReplayResult(len(rows), test.found, lines, same, scoring_of(source.name, artifact, rows))


def numbers_of(evaluation: BinaryEvaluation) -> dict[str, Estimate]:
    """Return name -> number for all that can be computed again from test rows alone."""
    found = dict(evaluation.metrics)
    for s in evaluation.slices:
        if s.by == NOVELTY:  # what training held is not in the test rows
            continue
        own = {"recall": s.recall, "false_positive_rate": s.false_positive_rate}
        if 0 < s.positives < s.rows:
            plain = {"precision": s.precision, "f1": s.f1, "roc_auc": s.roc_auc}
            own |= {name: Estimate(value=value) for name, value in plain.items()}
        found |= {f"{s.by}={s.name}:{n}": e for n, e in own.items() if e.value is not None}
    return found


def _hold(metric: str, reported: Estimate, computed: Estimate) -> Replayed:
    pairs = zip(dict(reported).values(), dict(computed).values(), strict=True)
    same = all(_close(old, new) for old, new in pairs)
    return Replayed(metric, reported, computed, same)


def _close(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return isclose(old, new, rel_tol=0, abs_tol=TOLERANCE)


def _show(number: Estimate) -> str:
    if number.value is None:
        return "not defined"
    ends = "" if number.low is None else f" ({number.low:.6f} to {number.high:.6f})"
    return f"{number.value:.6f}{ends}"
