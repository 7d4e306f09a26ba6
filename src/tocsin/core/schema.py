"""How files become samples and their truth: the layouts of publishers, and the schema that they fill."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from tocsin.core.types import Sample

Row = dict[str, Any]
"""One record as it was read: column name -> text, number or None."""


class Label(Sample):
    """The usual truth about a row: is it positive, and of which kind."""

    label: bool | None = Field(None, description="True is positive; None where the row carries no label")
    category: str | None = Field(None, description="kind of a positive: family, CWE, technique")


def truth_of(label: bool | None, category: str | None = None) -> Row:
    """Return the fields of a `Label`."""
    return {"label": label, "category": category}


@dataclass(frozen=True)
class Layout:
    """How the files of one publisher map to a sample: column names, quirks, where the truth is.

    For each row `repair` runs first; then `truth` reads the truth and raises ValueError, saying what it
    saw, when it cannot; then the denied columns are taken out of the row; then `record` turns what is
    left into the fields of the sample. ValueError, TypeError or KeyError in any of them refuses the row.

    Example:
        Layout(
            "flows",
            frozenset({"bytes", "is_attack"}),
            record=lambda row: {"bytes": row["bytes"]},
            truth=lambda row: {"label": row["is_attack"] == "1"},
            denied={"is_attack": "the label"},
        )

    """

    name: str
    columns: frozenset[str]
    """Columns that the files have, label and denied ones too; without labels the denied ones may be missing.
    Spaces around a name do not count. A name that a file has twice is `Name.1` the second time."""
    record: Callable[[Row], Row]
    truth: Callable[[Row], Row]
    """The fields of the schema's truth class; the first is None where a row carries no truth."""
    denied: Mapping[str, str] = field(default_factory=dict)
    """Columns that must never become features, with the reason: the columns of the truth are among them."""
    header: tuple[str, ...] | None = None
    """Column names for files that carry none."""
    repair: Callable[[Row], Iterable[str]] | None = None
    """Called once per row before `record` and `truth`; mends the row in place and yields the name of
    each quirk that it mended, so that they are counted (`Infinity -> missing`)."""
    optional: frozenset[str] = frozenset()
    """Columns that are read where a file has them."""
    facets: Mapping[str, str | Callable[[Row], str | None]] = field(default_factory=dict)
    """Name -> column, denied ones too, or what is made of the row: what rows are divided, drawn, held out and
    reported by, never features."""
    skip: Callable[[Row], str | None] | None = None
    """Runs first. Returns why the row is out of scope, such as `a bare link`, or None. Skipped rows are counted
    but not refused."""
    encoding: str | None = None
    """Fallback encoding for rows that are not UTF-8; each use counts as a repair. With None such rows are refused."""


@dataclass(frozen=True)
class Schema:
    """One sample class, the class of its truth, and the file layouts that can be read as them."""

    name: str
    sample: type[Sample]
    layouts: Mapping[str, Layout]
    truth: type[Sample] = Label
    """Its first field is None where a row carries no truth. A verdict is judged by `label` and `category`."""
