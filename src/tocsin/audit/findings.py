"""What an audit answers: findings, facts about each column, and facts about the split."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["error", "warning", "info"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Part):
    """One thing that a check saw. An error means that numbers from these rows would not hold."""

    severity: Severity
    name: str
    message: str
    rows: tuple[str, ...] = Field((), description="ids of a few rows that show it")
    action: str = Field("", description="what to do about it")


class ColumnFacts(_Part):
    """One field of the sample, over the training rows."""

    name: str
    kind: Literal["number", "text"]
    missing: float = Field(description="share of rows without a value")
    infinite: int = Field(description="rows that hold an infinity")
    distinct: int = Field(description="different values, missing left out")
    top_share: float = Field(description="share of the most frequent value, missing left out")
    auc: float | None = Field(description="ROC-AUC of this column alone; null where a class is missing")


class AuditReport(_Part):
    """`audit.json`."""

    schema_version: Literal[1] = 1
    rows: dict[str, int] = Field(description="rows of each side")
    positives: dict[str, int]
    findings: tuple[Finding, ...]
    columns: tuple[ColumnFacts, ...] = Field(description="the most telling first")
    split: dict[str, Any] = Field(description="name -> fact about the split")
    statistics: dict[str, Any] = Field(description="`stats_report.json`: what the rows are")

    @property
    def failed(self) -> int:
        """Number of errors."""
        return sum(finding.severity == "error" for finding in self.findings)
