"""A throw-away detector in one folder: is a domain name made by an algorithm? It proves the seam."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.axes import Axes
from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.schema import Layout, Row, Schema, truth_of
from tocsin.core.types import Arrays, Columns, Files, Place, Sample, column
from tocsin.core.verdicts import decode


class Domain(Sample):
    """One domain name."""

    name: str = Field(min_length=1, max_length=253, description="the name, without a final dot")


class DomainConfig(BaseModel):
    """The model section of the recipe."""

    width: int = Field(16, ge=1, le=256, description="hidden units")


class DomainEncoder:
    """Counts of characters by kind, scaled by the training split's standard deviation."""

    axes: ClassVar[Axes] = {}

    def __init__(self, scale: np.ndarray | None = None) -> None:
        self.scale = scale

    def fit(self, columns: Columns) -> Self:
        self.scale = self._counts(columns).std(axis=0) + 1e-6
        return self

    def encode(self, columns: Columns) -> Arrays:
        return {"counts": (self._counts(columns) / self.scale).astype(np.float32)}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["counts"], ["length", "vowels", "digits"], [False] * 3

    def hide(self, columns: Columns, arrays: Arrays) -> Iterable[tuple[Place, Arrays]]:
        name = columns["name"][0]
        for i in range(len(name)):
            without = column([name[:i] + name[i + 1 :]], numeric=False)
            yield Place(where="name", start=i, stop=i + 1), self.encode({"name": without})

    def watch(self, arrays: Arrays) -> Columns:
        return {"length": arrays["counts"][:, 0].astype(np.float64)}

    def save(self) -> Files:
        return {"scale.json": json.dumps(np.asarray(self.scale).tolist()).encode()}

    @classmethod
    def load(cls, files: Files) -> Self:
        return cls(np.asarray(json.loads(files["scale.json"])))

    @staticmethod
    def _counts(columns: Columns) -> np.ndarray:
        names = columns["name"]
        kinds = [(len(n), sum(c in "aeiou" for c in n), sum(c.isdigit() for c in n)) for n in names]
        return np.asarray(kinds, dtype=np.float64).reshape(-1, 3)


def _record(row: Row) -> Row:
    return {"name": row["domain"]}


def _label(row: Row) -> Row:
    if row["made"] not in {"yes", "no"}:
        raise ValueError(f"made is {row['made']!r}, not yes or no")
    return truth_of(row["made"] == "yes", "algorithm" if row["made"] == "yes" else None)


LAYOUT = Layout("list", frozenset({"domain", "made"}), _record, _label)
DETECTOR = Detector(
    name="domains",
    summary="is a domain name made by an algorithm?",
    kind=Decision("made", "chosen"),
    schemas={"domain": Schema("domain", Domain, {"list": LAYOUT})},
    config=DomainConfig,
    encoder=lambda config, schema: DomainEncoder(),
    load_encoder=DomainEncoder.load,
    decode=decode,
    plan=f"{__name__}.training:plan",
    stages=("fit",),
    folder=Path(__file__).parent,
    demo=f"{__name__}.training:make",
)
