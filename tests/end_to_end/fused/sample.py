"""One login, and the file that it is read from."""

from pydantic import Field

from tocsin.core.schema import Layout, Row, Schema, truth_of
from tocsin.core.types import Sample


class Login(Sample):
    """When somebody logged in, how often that had failed, and with which program."""

    hour: float = Field(ge=0, lt=24, description="hour of the day")
    failures: int = Field(ge=0, le=10_000, description="tries that failed before")
    agent: str = Field(max_length=500, description="what the program says that it is")


def _record(row: Row) -> Row:
    return {name: row[name] for name in Login.model_fields}


def _truth(row: Row) -> Row:
    return truth_of(row["attack"])


LAYOUT = Layout(
    "logins",
    frozenset({*Login.model_fields, "attack"}),
    _record,
    _truth,
    denied={"attack": "the label"},
)
SCHEMA = Schema("login", Login, {LAYOUT.name: LAYOUT})
