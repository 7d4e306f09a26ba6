"""The checks of a table before anything is trained on it. A new check is one more function in CHECKS.

Shapes: N rows of a side.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tocsin.audit.columns import describe_columns
from tocsin.audit.findings import AuditReport as AuditReport
from tocsin.audit.findings import ColumnFacts, Finding
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import row_keys
from tocsin.data.splits import Fold

EXAMPLES = 5
RARE_CLASS = 0.01
MOSTLY_MISSING = 0.5
NEARLY_CONSTANT = 0.999
TELLING, GIVEAWAY = 0.95, 0.999
"""ROC-AUC of one column alone from which it is a warning, and an error."""

FREE_TEXT = 0.5
"""A column with more distinct values a row than this holds texts, not names: each is unseen elsewhere."""


@dataclass(frozen=True)
class Sides:
    """The rows on each side of a fold."""

    dataset: Dataset
    fold: Fold
    official: Dataset | None

    @cached_property
    def parts(self) -> Mapping[str, Dataset]:
        """Training, validation and test rows."""
        test = self.dataset if self.official is None else self.official
        return {
            "train": self.dataset.take(self.fold.train),
            "valid": self.dataset.take(self.fold.valid),
            "test": test.take(self.fold.test),
        }

    @cached_property
    def keys(self) -> Mapping[str, np.ndarray]:
        """Side -> uint64 [N], equal where all features are."""
        return {side: row_keys(part.columns) for side, part in self.parts.items()}

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """Facts about every field, the most telling first."""
        return describe_columns(self.parts["train"], self.parts["valid"])


Check = Callable[[Sides], Iterator[Finding]]


def audit(dataset: Dataset, fold: Fold, official: Dataset | None = None) -> AuditReport:
    """Run every check on the rows of a fold; `fold.test` counts rows of `official` where there is one."""
    sides = Sides(dataset, fold, official)
    severities = ("error", "warning", "info")
    findings = [finding for check in CHECKS for finding in check(sides)]
    return AuditReport(
        rows={side: len(part) for side, part in sides.parts.items()},
        positives={side: int((part.label == 1).sum()) for side, part in sides.parts.items()},
        findings=tuple(sorted(findings, key=lambda finding: severities.index(finding.severity))),
        columns=sides.columns,
        split=dict(fold.facts),
        statistics=statistics_of(dataset),
    )


def statistics_of(dataset: Dataset) -> dict[str, Any]:
    """Return `stats_report.json`: class balance, kinds, missing values, sources, refused rows and repairs."""
    values, counts = np.unique(dataset.label, return_counts=True)
    names = {1: "positive", 0: "negative", -1: "unlabelled"}
    return {
        "rows": len(dataset),
        "class_balance": {names[int(v)]: int(c) for v, c in zip(values, counts, strict=True)},
        "categories": _count(dataset.category[dataset.category != ""]),
        "missing_values": {name: int(_is_missing(column).sum()) for name, column in dataset.columns.items()},
        "sources": _count(dataset.source),
        "refused_rows": len(dataset.refused),
        "repairs": dict(dataset.repairs),
    }


def check_classes(sides: Sides) -> Iterator[Finding]:
    """Both classes on every side, every row labelled, and none so rare that nothing can be said about it."""
    for side, part in sides.parts.items():
        unlabelled = np.flatnonzero(part.label < 0)
        if len(unlabelled):
            message = f"{len(unlabelled):,} {side} rows carry no label"
            yield Finding(
                severity="error",
                name="labels",
                message=message,
                rows=_ids(part, unlabelled),
                action="drop them",
            )
        positives, rows = int((part.label == 1).sum()), len(part)
        rare = min(positives, rows - positives) / rows if rows else 0.0
        severity = "info" if rare >= RARE_CLASS else "warning" if rare or side != "train" else "error"
        message = f"{positives:,} of {rows:,} {side} rows are positive"
        action = "" if severity == "info" else "add rows of the rarer class, or read its numbers with care"
        yield Finding(severity=severity, name="class balance", message=message, action=action)


def check_values(sides: Sides) -> Iterator[Finding]:
    """Missing values and infinities."""
    missing = {c.name: f"{c.missing:.1%}" for c in sides.columns if c.missing}
    most = any(c.missing > MOSTLY_MISSING for c in sides.columns)
    if missing:
        yield Finding(
            severity="warning" if most else "info",
            name="missing values",
            message=_list("training rows without a value", missing),
            action="drop the columns that are mostly empty" if most else "",
        )
    infinite = {c.name: f"{c.infinite:,} rows" for c in sides.columns if c.infinite}
    if infinite:
        message = _list("infinities, which are treated as missing", infinite)
        yield Finding(
            severity="warning", name="infinities", message=message, action="see what the sensor divides by 0"
        )


def check_constants(sides: Sides) -> Iterator[Finding]:
    """Columns that say nothing, or nearly nothing."""
    constant = [c.name for c in sides.columns if c.distinct <= 1]
    if constant:
        message = f"the same in every training row: {', '.join(constant)}"
        yield Finding(severity="warning", name="constant columns", message=message, action="they cannot help")
    nearly = [c for c in sides.columns if c.distinct > 1 and c.top_share > NEARLY_CONSTANT]
    if nearly:
        shares = {c.name: f"{1 - c.top_share:.3%}" for c in nearly}
        message = _list("share of training rows that differ from the usual value", shares)
        yield Finding(severity="info", name="near-constant columns", message=message)


def check_duplicates(sides: Sides) -> Iterator[Finding]:
    """Rows whose features repeat, within training and, which is worse, on the other side of the split."""
    keys = sides.keys
    repeated = len(keys["train"]) - len(np.unique(keys["train"]))
    if repeated:
        share = repeated / len(keys["train"])
        message = f"{repeated:,} training rows ({share:.1%}) repeat the features of an earlier one"
        yield Finding(severity="info", name="duplicates", message=message)
    for side in ("valid", "test"):
        found = np.flatnonzero(np.isin(keys[side], keys["train"]))
        if not len(found):
            continue
        published = side == "test" and sides.official is not None
        yield Finding(
            severity="warning" if published else "error",
            name="duplicates across the split",
            message=f"{len(found):,} of {len(keys[side]):,} {side} rows repeat a training row",
            rows=_ids(sides.parts[side], found),
            action="they come with the published test set: say so"
            if published
            else "split by near-duplicates",
        )


def check_conflicts(sides: Sides) -> Iterator[Finding]:
    """Rows with the same features and different labels: no model can get all of them right."""
    keys = np.concatenate(list(sides.keys.values()))
    label = np.concatenate([part.label for part in sides.parts.values()])
    ids = np.concatenate([part.ids for part in sides.parts.values()])
    _, place = np.unique(keys, return_inverse=True)
    least, most = np.full(place.max(initial=0) + 1, 2), np.full(place.max(initial=0) + 1, -2)
    np.minimum.at(least, place, label)
    np.maximum.at(most, place, label)
    found = np.flatnonzero((least != most)[place])
    if len(found):
        share = len(found) / len(label)
        message = f"{len(found):,} rows ({share:.2%}) have the features of a row with another label"
        shown = tuple(str(i) for i in ids[found[np.argsort(place[found], kind="stable")][:EXAMPLES]])
        action = "look for a missing feature or wrong labels"
        yield Finding(
            severity="warning", name="conflicting labels", message=message, rows=shown, action=action
        )


def check_shortcuts(sides: Sides) -> Iterator[Finding]:
    """Columns that tell the label by themselves."""
    for threshold, above, severity, action in (
        (GIVEAWAY, 2.0, "error", "is it known when the row is scored? if not, deny it"),
        (TELLING, GIVEAWAY, "warning", "make sure that it is no trace of how the data was made"),
    ):
        found = {
            c.name: f"{c.auc:.4f}" for c in sides.columns if c.auc is not None and threshold <= c.auc < above
        }
        if found:
            message = _list("ROC-AUC of one column alone", found)
            yield Finding(severity=severity, name="shortcut", message=message, action=action)


def check_novelties(sides: Sides) -> Iterator[Finding]:
    """Values and kinds of positives that only the test holds."""
    train, test = sides.parts["train"], sides.parts["test"]
    named = [c for c in sides.columns if c.kind == "text" and c.distinct <= FREE_TEXT * max(1, len(train))]
    for column in (c.name for c in named):
        known, values = set(train.columns[column]), test.columns[column]
        found = np.flatnonzero([value not in known for value in values])
        if len(found):
            counts = {k: f"{n:,} rows" for k, n in _count(values[found]).items()}
            message = _list(f"values of {column} that training never saw", counts)
            yield Finding(severity="info", name="unseen values", message=message, rows=_ids(test, found))
    kinds = set(train.category)
    counts = {k: f"{n:,} rows" for k, n in _count(test.category).items() if k not in kinds}
    if counts:
        yield Finding(
            severity="info", name="unseen kinds", message=_list("kinds of positives only in the test", counts)
        )


def check_groups(sides: Sides) -> Iterator[Finding]:
    """No group on two sides."""
    group = sides.dataset.group
    if group is None or sides.official is not None:
        return
    train = set(group[sides.fold.train])
    for side, index in (("valid", sides.fold.valid), ("test", sides.fold.test)):
        found = np.flatnonzero([value in train for value in group[index]])
        if len(found):
            message = f"{len(found):,} {side} rows belong to a group that is in training"
            rows = _ids(sides.parts[side], found)
            yield Finding(severity="error", name="groups across the split", message=message, rows=rows)


def check_split(sides: Sides) -> Iterator[Finding]:
    """Near-duplicates of training rows in the test, here and under a split that only shuffles."""
    naive, ours = (sides.fold.facts.get(name) for name in ("naive_overlap", "overlap"))
    if naive is None or ours is None:
        return
    message = f"{ours:.1%} of the test rows have a near-duplicate outside the test"
    if sides.official is None:
        message += f"; a split that only shuffles would have {naive:.1%}"
    yield Finding(severity="warning" if ours else "info", name="leak meter", message=message)


def check_reading(sides: Sides) -> Iterator[Finding]:
    """Rows that were refused and values that were mended while reading."""
    for part in (sides.dataset, sides.official):
        if part is None:
            continue
        if part.refused:
            shown = tuple(f"{bad.file}:{bad.line}: {bad.reason}" for bad in part.refused[:EXAMPLES])
            message = f"{len(part.refused):,} rows were refused, {len(part):,} were read"
            yield Finding(
                severity="warning", name="refused rows", message=message, rows=shown, action="mend the file"
            )
        if part.repairs:
            message = _list("handled while reading", {name: f"{count:,}" for name, count in part.repairs})
            yield Finding(severity="info", name="repairs", message=message)


CHECKS: tuple[Check, ...] = (
    check_classes,
    check_values,
    check_constants,
    check_duplicates,
    check_conflicts,
    check_shortcuts,
    check_novelties,
    check_groups,
    check_split,
    check_reading,
)


def _count(values: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(np.array([str(value) for value in values]), return_counts=True)
    return dict(sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: -item[1]))


def _is_missing(column: np.ndarray) -> np.ndarray:
    return np.array([v is None for v in column]) if column.dtype == object else np.isnan(column)


def _ids(part: Dataset, found: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in part.ids[found[:EXAMPLES]])


def _list(what: str, items: Mapping[str, str], most: int = 10) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in list(items.items())[:most])
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{what}: {shown}{more}"
