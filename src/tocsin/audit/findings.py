"""What an audit answers: findings, facts about columns and split, shortcuts, and what a leak would have claimed."""

from typing import Any, Literal

from pydantic import Field

from tocsin.core.provenance import Origin
from tocsin.core.types import Frozen

Severity = Literal["error", "warning", "info"]


class Finding(Frozen):
    """One thing that a check saw. An error means that numbers from these rows would not hold."""

    severity: Severity
    name: str
    message: str
    rows: tuple[str, ...] = Field((), description="ids of a few rows that show it")
    action: str = Field("", description="what to do about it")


class ColumnFacts(Frozen):
    """One field of the sample, over the training rows."""

    name: str
    kind: Literal["number", "text", "sequence"]
    missing: float = Field(description="share of rows without a value")
    infinite: int = Field(description="rows that hold an infinity")
    distinct: int = Field(description="different values, missing left out")
    top_share: float = Field(description="share of the most frequent value, missing left out")
    auc: float | None = Field(description="ROC-AUC of this column alone; null where a class is missing")


class ColumnShift(Frozen):
    """How far the values of one field lie apart in training and test."""

    name: str
    psi: float = Field(
        description="population stability index over the bins of training; above 0.25 is large"
    )
    ks: float | None = Field(description="largest distance of the two distributions; null for text")
    expected: float = Field(description="the index that chance alone gives with so many rows")


class Shortcut(Frozen):
    """What can be had without a model of the rows: fitted on training rows, scored on validation rows."""

    name: str
    roc_auc: float | None = Field(description="null where there is nothing to fit it on")
    test_roc_auc: float | None = Field(None, description="the same on test rows, to put beside the model's")
    description: str


class LeakMeter(Frozen):
    """One quick model under two splits: rows shuffled, and the split that the recipe keeps to."""

    model: str = Field(description="what was fitted, with the same settings, on as many rows, both times")
    naive: float = Field(description="ROC-AUC under a split that only shuffles rows")
    honest: float = Field(description="ROC-AUC under the recipe's split")
    naive_recall: float | None = Field(description="recall at 1 % false positives, rows shuffled")
    honest_recall: float | None = Field(description="recall at 1 % false positives, the recipe's split")
    noise: float = Field(description="standard deviation of the difference of the two by chance")
    rows: int = Field(description="rows that both were drawn from")
    official: bool = Field(description="the honest figure is of a test set of its own")
    sentence: str


class AuditReport(Frozen):
    """`audit.json`."""

    schema_version: Literal[1] = 1
    rows: dict[str, int] = Field(description="rows of each side")
    positives: dict[str, int]
    findings: tuple[Finding, ...]
    columns: tuple[ColumnFacts, ...] = Field(description="the most telling first")
    split: dict[str, Any] = Field(description="name -> fact about the split")
    statistics: dict[str, Any] = Field(description="`stats_report.json`: what the rows are")
    shortcuts: tuple[Shortcut, ...] = ()
    shift: tuple[ColumnShift, ...] = Field((), description="the furthest apart first")
    leak: LeakMeter | None = None
    provenance: Origin | None = Field(None, description="what made these numbers; the seed is the split's")

    @property
    def failed(self) -> int:
        """Number of errors."""
        return sum(finding.severity == "error" for finding in self.findings)
