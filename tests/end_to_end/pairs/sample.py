"""A text and a criterion, and the passages of the text that meet it."""

from pydantic import Field

from tocsin.core.schema import Label, Layout, Row, Schema, truth_of
from tocsin.core.types import Sample


class Pair(Sample):
    """What was written, and what is asked about it."""

    text: str = Field(min_length=1, max_length=2_000, description="what is read")
    criterion: str = Field(min_length=1, max_length=500, description="what is looked for in it")


class Passages(Label):
    """Does the text meet the criterion, and where."""

    spans: tuple[tuple[int, int], ...] | None = Field(
        None,
        description="(first character, character behind the last) of each passage of `text`; () for none",
    )


def _record(row: Row) -> Row:
    return {"text": row["text"], "criterion": row["criterion"]}


def _truth(row: Row) -> Row:
    return truth_of(row["meets"]) | {"spans": row["spans"]}


LAYOUT = Layout(
    "pairs",
    frozenset({"text", "criterion", "meets", "spans"}),
    _record,
    _truth,
    denied={"meets": "the label", "spans": "where the label comes from"},
)
SCHEMA = Schema("pair", Pair, {LAYOUT.name: LAYOUT}, truth=Passages)
