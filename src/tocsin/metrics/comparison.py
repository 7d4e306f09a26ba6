"""Every model on the same rows: thresholds from validation, numbers from the test, differences in pairs.

Shapes: V validation rows, N test rows, R resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.provenance import Origin
from tocsin.core.recipe import EvaluationSection
from tocsin.metrics.bootstrap import Redrawn, Resampling, redraw
from tocsin.metrics.classification import judge, measure
from tocsin.metrics.evaluation import (
    Difference,
    Estimate,
    EvaluationReport,
    ModelEvaluation,
    describe,
    estimate,
    units_of,
)
from tocsin.metrics.operating import Choosing, choose_operation, describe_operation
from tocsin.metrics.significance import decide, detectable, standard_error, units_behind

COMPARED = ("roc_auc", "recall")
SHORTCUT = 0.02
"""The alarm of gate F2: what one column reaches is this close to the model."""
CATEGORY, NOVELTY = "category", "in training"


@dataclass(frozen=True)
class Truth:
    """What all models are judged against."""

    valid: np.ndarray
    """[V] of 0 and 1."""
    test: np.ndarray
    """[N] of 0 and 1."""
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> [N] values to report apart."""
    category: np.ndarray | None = None
    """[N] object: kind of positive, or the empty string."""
    known: frozenset[str] | None = None
    """Kinds that are in the training rows; the others are unseen."""
    group: np.ndarray | None = None
    """[N]: rows of one group depend on each other and are resampled together."""
    valid_group: np.ndarray | None = None
    """[V]: the same of the validation rows."""
    own_by: tuple[np.ndarray, np.ndarray] | None = None
    """[V] and [N] object: the values that have thresholds of their own, if the recipe asks for that."""
    split: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the split, to be reported with the numbers."""


@dataclass(frozen=True)
class Scores:
    """One model's probabilities of the positive label."""

    valid: np.ndarray
    """[V]."""
    test: np.ndarray
    """[N]."""
    kind: Literal["model", "baseline"] = "model"
    description: str = ""
    fit_seconds: float | None = None


def compare_models(
    truth: Truth, scores: Mapping[str, Scores], section: EvaluationSection, primary: str, origin: Origin
) -> EvaluationReport:
    """Evaluate every model on the test rows at its own threshold, and the primary one against each other.

    InputError where `primary` is not among the scores or the validation negatives are too few.
    """
    if primary not in scores:
        raise InputError(f"no scores of the model {primary!r}{did_you_mean(primary, list(scores))}")
    valid_slice, test_slice = truth.own_by or (None, None)
    rows = Choosing(truth.valid, truth.valid_group, valid_slice)
    operations = {name: choose_operation(rows, s.valid, section) for name, s in scores.items()}
    judged = {
        name: judge(
            truth.test, s.test, operations[name].common.value, operations[name].thresholds(test_slice)
        )
        for name, s in scores.items()
    }
    how = Resampling(section.resamples, origin.seed, group=truth.group)
    redrawn = redraw(judged[primary].truth, {name: partial(measure, j) for name, j in judged.items()}, how)
    slices = slices_of(truth)
    models = {}
    for name, s in scores.items():
        binary = describe(judged[name], redrawn[name], slices, how)
        realised = binary.metrics["false_positive_rate"]
        models[name] = ModelEvaluation(
            **dict(binary),
            kind=s.kind,
            description=s.description,
            fit_seconds=s.fit_seconds,
            operating_point=describe_operation(operations[name], section, judged[name], realised, how),
        )
    weighing = Weighing(units_of(judged[primary].truth, truth.group), section.smallest_difference)
    others = [name for name in models if name != primary]
    return EvaluationReport(
        primary=primary,
        models=models,
        comparisons=tuple(
            compare_metric(metric, (primary, other), models, redrawn, weighing)
            for other in others
            for metric in COMPARED
        ),
        resamples=section.resamples,
        split=dict(truth.split),
        provenance=origin,
    )


def slices_of(truth: Truth) -> dict[str, np.ndarray]:
    """Add to the given slices the kinds of positives, and whether training held them: name -> [N] object."""
    slices = dict(truth.slices)
    if truth.category is not None:
        slices[CATEGORY] = np.array([c or None for c in truth.category], dtype=object)
        if truth.known is not None:
            named = [None if not c else "seen" if c in truth.known else "unseen" for c in truth.category]
            slices[NOVELTY] = np.array(named, dtype=object)
    return slices


@dataclass(frozen=True)
class Weighing:
    """What a difference is held against."""

    units: tuple[int, int]
    """Independent negatives and positives among the test rows: rows, or groups of them."""
    smallest: float
    """The smallest difference that is of interest."""


def compare_metric(
    metric: str,
    pair: tuple[str, str],
    models: Mapping[str, ModelEvaluation],
    redrawn: Mapping[str, Redrawn],
    weighing: Weighing,
) -> Difference:
    """Say whether the first of a pair is better: its 95 % interval of the difference leaves 0 out, or not.

    If not, there is no evidence where a difference of interest would have been found, else too little power.
    """
    ours, theirs = (models[name].metrics[metric].value for name in pair)
    value = float("nan") if ours is None or theirs is None else ours - theirs
    found = redrawn[pair[0]].minus(redrawn[pair[1]])
    low, high = found.interval(metric, value)
    error = standard_error(found.replicates[metric], units_behind(metric, weighing.units))
    minimum = detectable(error)
    return Difference(
        metric=metric,
        model=pair[0],
        other=pair[1],
        difference=estimate(value, (low, high)),
        verdict=decide(metric, value, low > 0 or high < 0, minimum, weighing.smallest),
        minimum_detectable=estimate(minimum).value,
        smallest=weighing.smallest,
    )


def conclude(report: EvaluationReport) -> tuple[str, ...]:
    """Say in sentences which model is best, and whether the primary one earns its cost over simpler ones."""
    known = {name: m.metrics["roc_auc"].value for name, m in report.models.items()}
    ranked = sorted(
        (name for name in known if known[name] is not None), key=lambda name: -(known[name] or 0.0)
    )
    if not ranked:
        return ("The test rows hold one class only: the models cannot be ranked.",)
    best = report.models[ranked[0]].metrics["roc_auc"]
    lines = [f"{ranked[0]} has the highest ROC-AUC, {best.value:.4f} ({_range(best)})."]
    for metric, words in (("roc_auc", "ROC-AUC"), ("recall", "recall at the operating point")):
        lines += _against_baselines(report, metric, words)
    lines += _shortcut(report)
    for found in report.comparisons:
        if report.models[found.other].kind == "model":
            words = {"roc_auc": "ROC-AUC", "recall": "recall at the operating point"}[found.metric]
            lines.append(f"{_verdict(found)} in {words} ({_difference(found)}).")
    return tuple(lines)


def _shortcut(report: EvaluationReport) -> list[str]:
    stumps = [c for c in report.comparisons if c.other == "stump" and c.metric == "roc_auc"]
    return [
        f"One column alone comes within 2 points of {report.primary} in ROC-AUC ({_difference(c)}):"
        " look for a shortcut in the data."
        for c in stumps
        if c.difference.value is not None and c.difference.value < SHORTCUT
    ]


def _against_baselines(report: EvaluationReport, metric: str, words: str) -> list[str]:
    found = [
        c for c in report.comparisons if c.metric == metric and report.models[c.other].kind == "baseline"
    ]
    if not found:
        return []
    closest = min(found, key=lambda c: c.difference.value if c.difference.value is not None else np.inf)
    if all(c.verdict == "better" for c in found):
        return [
            f"{report.primary} is better than every baseline in {words};"
            f" the closest is {closest.other} ({_difference(closest)})."
        ]
    return [f"{_verdict(c)} in {words} ({_difference(c)})." for c in found if c.verdict != "better"]


def _verdict(found: Difference) -> str:
    if found.verdict == "under-powered":
        return f"The rows are too few to tell {found.model} and {found.other} apart"
    if found.verdict == "no evidence":
        return f"There is no evidence that {found.model} is better than {found.other}"
    return f"{found.model} is {found.verdict} than {found.other}"


def _difference(found: Difference) -> str:
    if found.difference.value is None:
        return "not defined"
    missed = ""
    if found.verdict == "under-powered" and found.minimum_detectable is not None:
        missed = f"; less than {found.minimum_detectable:.4f} would be missed more than one time of five"
    return f"difference {found.difference.value:+.4f}, {_range(found.difference, '+')}{missed}"


def _range(found: Estimate, sign: str = "") -> str:
    if found.low is None or found.high is None:
        return "no interval"
    return f"95 % interval {found.low:{sign}.4f} to {found.high:{sign}.4f}"
