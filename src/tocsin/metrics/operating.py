"""Where a model is operated: thresholds from validation rows, what they cost on test rows, when a person decides.

Shapes: V validation rows, N test rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.core.recipe import EvaluationSection
from tocsin.metrics.bootstrap import Resampling, redraw, wilson
from tocsin.metrics.classification import Judged, measure
from tocsin.metrics.evaluation import (
    AbstainBand,
    Estimate,
    OperatingPoint,
    SliceThreshold,
    estimate,
    hull,
)
from tocsin.metrics.thresholds import (
    Threshold,
    choose_band,
    choose_threshold,
    effective_size,
    has_enough,
    lowest_above,
    upper_bound,
)


@dataclass(frozen=True)
class Choosing:
    """The validation rows that thresholds are chosen on."""

    truth: np.ndarray
    """[V] of 0 and 1."""
    group: np.ndarray | None = None
    """[V]: rows of one group score alike, and weigh together as one in the bound of the rate."""
    slice: np.ndarray | None = None
    """[V] object: what has thresholds of its own by value; None is in no slice."""


@dataclass(frozen=True)
class Operation:
    """The thresholds of one model."""

    common: Threshold
    """Its counts are those of all validation negatives, each at its own threshold."""
    own: Mapping[str, Threshold] = field(default_factory=dict)
    """Value of the slice -> its threshold."""
    abstain_below: float | None = None

    def thresholds(self, values: np.ndarray | None) -> np.ndarray | None:
        """Return the threshold of each row [N] by its slice [N]; None where all rows have the common one."""
        if values is None or not self.own:
            return None
        return np.array([self.own.get(v, self.common).value for v in values])

    def unsure(self, judged: Judged) -> np.ndarray:
        """Tell which rows go to a person, [N] bool."""
        limit = self.common.value if judged.own is None else judged.own
        below = np.inf if self.abstain_below is None else self.abstain_below
        unsure: np.ndarray = (judged.probability >= below) & (judged.probability < limit)
        return unsure


def choose_operation(rows: Choosing, probability: np.ndarray, section: EvaluationSection) -> Operation:
    """Choose the common threshold, those of slices with enough negatives, and the band that goes to a person.

    probability: [V]. InputError where there are too few negatives for the common one.
    """
    rate, sure = section.max_false_positive_rate, section.confidence
    operation = Operation(choose_threshold(rows.truth, probability, rate, sure, rows.group))
    if section.thresholds_per is not None and rows.slice is not None:
        own = _own(rows, rows.slice, probability, section)
        operation = Operation(_for_the_rest(operation.common, rows, own, probability), own)
        operation = replace(operation, common=_recount(operation, rows, probability))
    if section.abstain is not None:
        held = operation.thresholds(rows.slice)
        held = np.full(len(rows.truth), operation.common.value) if held is None else held
        below = choose_band(rows.truth, probability, held, section.abstain)
        operation = replace(operation, abstain_below=below)
    return operation


def _own(
    rows: Choosing, slices: np.ndarray, probability: np.ndarray, section: EvaluationSection
) -> dict[str, Threshold]:
    """Return the thresholds of the slices that have the negatives for one."""
    rate, sure, found = section.max_false_positive_rate, section.confidence, {}
    for name in sorted({v for v in slices if v is not None}):
        inside = slices == name
        group = np.arange(len(slices))[inside] if rows.group is None else rows.group[inside]
        truth = rows.truth[inside]
        if has_enough(group[truth == 0], rate, sure):
            found[str(name)] = choose_threshold(truth, probability[inside], rate, sure, group)
    return found


def _for_the_rest(
    common: Threshold, rows: Choosing, own: Mapping[str, Threshold], probability: np.ndarray
) -> Threshold:
    """Raise the common threshold until the rows that are left to it flag no more than their share.

    Else easy slices would have thresholds of their own, and leave the alarms that they had room for to the rest.
    """
    assert rows.slice is not None
    rest = np.array([v not in own for v in rows.slice], dtype=bool)
    falling = np.sort(probability[rest & (rows.truth == 0)])[::-1]
    share = min(common.max_false_positive_rate, common.false_positives / common.negatives)
    allowed = int(share * len(falling) + 1e-9)
    least = lowest_above(probability, falling[allowed]) if len(falling) else 0.0
    return replace(common, value=max(common.value, least))


def _recount(operation: Operation, rows: Choosing, probability: np.ndarray) -> Threshold:
    """Return the common threshold with what all thresholds together flag of the negatives."""
    limit = operation.thresholds(rows.slice)
    flagged = (rows.truth == 0) & (probability >= (operation.common.value if limit is None else limit))
    count, size = int(flagged.sum()), operation.common.negatives
    worth = size if rows.group is None else effective_size(rows.group[rows.truth == 0])
    return replace(
        operation.common, false_positives=count, upper_bound=upper_bound(count * worth / size, worth)
    )


def describe_operation(
    operation: Operation, section: EvaluationSection, judged: Judged, realised: Estimate, how: Resampling
) -> OperatingPoint:
    """Say where the thresholds come from, and what they cost on the test rows.

    judged: the answers to the test rows; realised: their false-positive rate.
    """
    common = operation.common
    return OperatingPoint(
        threshold=common.value,
        max_false_positive_rate=common.max_false_positive_rate,
        confidence=section.confidence,
        valid_negatives=common.negatives,
        valid_false_positives=common.false_positives,
        upper_bound=common.upper_bound,
        daily_negatives=section.daily_volume,
        false_alerts_per_day=daily(realised, section.daily_volume),
        slices=tuple(_slice_threshold(section.thresholds_per or "", n, t) for n, t in operation.own.items()),
        abstain=None if operation.abstain_below is None else _band(operation, section, judged, how),
    )


def limits_of(point: OperatingPoint, values: np.ndarray | None) -> np.ndarray:
    """Return the threshold of each row: [N], or [1] where all have the common one; values: [N] of the slice."""
    if values is None or not point.slices:
        return np.array([point.threshold])
    own = {s.name: s.threshold for s in point.slices}
    return np.array([own.get(v, point.threshold) for v in values])


def daily(share: Estimate, volume: int) -> Estimate:
    """Return how many rows a day a share of the volume is."""
    return Estimate(**{k: None if v is None else v * volume for k, v in dict(share).items()})


def _slice_threshold(by: str, name: str, threshold: Threshold) -> SliceThreshold:
    return SliceThreshold(
        by=by,
        name=name,
        threshold=threshold.value,
        valid_negatives=threshold.negatives,
        valid_false_positives=threshold.false_positives,
        upper_bound=threshold.upper_bound,
    )


def _band(operation: Operation, section: EvaluationSection, judged: Judged, how: Resampling) -> AbstainBand:
    """Count the test rows that a person decides: of all rows, of negatives, and the positives among them."""
    unsure = operation.unsure(judged)
    flagged, truth = judged.cell % 2 == 1, judged.truth
    shares = {
        "coverage": (~unsure, np.ones_like(truth)),
        "negatives_to_a_person": (unsure, ~truth),
        "recall_with_a_person": (flagged | unsure, truth),
    }
    found = {name: _share(*masks, how) for name, masks in shares.items()}
    return AbstainBand(
        below=float(operation.abstain_below or 0.0),
        max_share=float(section.abstain or 0.0),
        recall_alone=estimate(measure(judged)["recall"]).value,
        negatives_a_day=daily(found["negatives_to_a_person"], section.daily_volume),
        **found,
    )


def _share(hit: np.ndarray, among: np.ndarray, how: Resampling) -> Estimate:
    """Return the share of hits among some rows; hit, among: [N] bool. Groups widen the Wilson interval."""
    total, hits = int(among.sum()), int((hit & among).sum())
    if not total:
        return Estimate(value=None)
    interval = wilson(hits, total, how.level)
    if how.group is not None:
        statistic = {"": lambda counts: {"share": float(counts[hit & among].sum() / counts[among].sum())}}
        redrawn = redraw(among, statistic, how)[""]
        interval = hull(interval, redrawn.interval("share", hits / total, how.level))
    return estimate(hits / total, interval)
