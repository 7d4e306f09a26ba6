"""A small sample with its layouts, and files of it."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tocsin.core.schema import Layout, Row, Schema, truth_of
from tocsin.core.types import Sample
from tocsin.data.dataset import Dataset
from truths import truths

COLUMNS = ("volts", "amps", "site", "serial", "truth")


class Meter(Sample):
    """What one electricity meter said."""

    volts: Annotated[float, Field(ge=0)] | None = None
    amps: float | None = None
    site: Literal["roof", "cellar"] | None = None


def read_truth(row: Row) -> Row:
    known = {
        "ok": truth_of(False, "fine"),
        "broken": truth_of(True, "broken"),
        "tampered": truth_of(True, "tampered"),
    }
    if row["truth"] not in known:
        raise ValueError(f"label {row['truth']!r} is not known")
    return known[row["truth"]]


def mend(row: Row) -> Iterator[str]:
    if row["amps"] == "Infinity":
        row["amps"] = None
        yield "amps: Infinity -> missing"


PLAIN = Layout(
    name="plain",
    columns=frozenset(COLUMNS),
    record=lambda row: row,
    truth=read_truth,
    denied={"truth": "the truth itself", "serial": "names one device"},
    header=COLUMNS,
    repair=mend,
)
OTHER = Layout(
    name="other",
    columns=frozenset({"U", "I", "I.1", "broken"}),
    record=lambda row: {"volts": row["U"], "amps": row["I"]},
    truth=lambda row: truth_of({"0": False, "1": True, None: None}[row["broken"]]),
    denied={"broken": "the truth itself"},
    encoding="cp1252",
)
SCHEMA = Schema("meter", Meter, {"plain": PLAIN, "other": OTHER})


def row(**changes: Any) -> dict[str, Any]:
    return {"volts": "230.5", "amps": "1.5", "site": "roof", "serial": "s1", "truth": "ok"} | changes


def text(rows: Sequence[dict[str, Any]], header: bool = True) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def dataset(
    label: Sequence[int],
    category: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    time: Sequence[float] | None = None,
    **columns: Sequence[Any],
) -> Dataset:
    """Rows made by hand; without columns every row is unlike every other."""
    size = len(label)
    columns = columns or {"volts": np.geomspace(1, 1e9, size)}
    return Dataset(
        columns={
            name: values if isinstance(values, np.ndarray) else _column(values)
            for name, values in columns.items()
        },
        truth=truths(label, category),
        ids=np.array([f"f:{i}" for i in range(size)], dtype=object),
        source=np.array(["f"] * size, dtype=object),
        group=None if group is None else np.array(group, dtype=object),
        time=None if time is None else np.array(time, dtype=np.float64),
    )


def _column(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=object if any(isinstance(v, str) for v in values) else np.float64)
