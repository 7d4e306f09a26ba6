"""A throw-away detector in one folder: is a domain name made by an algorithm? It proves the seam."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.detector import Calibration, Detector, Label, Layout, Row, Schema
from tocsin.core.types import Arrays, Columns, Files, Sample, Verdict


class Domain(Sample):
    """One domain name."""

    name: str = Field(min_length=1, max_length=253, description="the name, without a final dot")


class DomainConfig(BaseModel):
    """The model section of the recipe."""

    width: int = Field(16, ge=1, le=256, description="hidden units")


class DomainEncoder:
    """Counts of characters by kind, scaled by the training split's standard deviation."""

    def __init__(self, scale: np.ndarray | None = None) -> None:
        self.scale = scale

    def fit(self, columns: Columns) -> Self:
        self.scale = self._counts(columns).std(axis=0) + 1e-6
        return self

    def encode(self, columns: Columns) -> Arrays:
        return {"counts": (self._counts(columns) / self.scale).astype(np.float32)}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["counts"], ["length", "vowels", "digits"], [False] * 3

    def hide(self, arrays: Arrays) -> Iterable[tuple[str, Arrays]]:
        for i, name in enumerate(["length", "vowels", "digits"]):
            counts = arrays["counts"].copy()
            counts[:, i] = 0
            yield name, {"counts": counts}

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


def decode(outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Sigmoid and threshold."""
    probability = 1 / (1 + np.exp(-outputs["logit"] / calibration.temperature))
    return [
        Verdict(
            label=calibration.positive if p >= calibration.threshold else calibration.negative,
            probability=float(p),
            threshold=calibration.threshold,
            artifact=artifact,
        )
        for p in probability
    ]


def _record(row: Row) -> Row:
    return {"name": row["domain"]}


def _label(row: Row) -> Label:
    if row["made"] not in {"yes", "no"}:
        raise ValueError(f"made is {row['made']!r}, not yes or no")
    return Label(row["made"] == "yes", "algorithm" if row["made"] == "yes" else None)


LAYOUT = Layout("list", frozenset({"domain", "made"}), _record, _label)
DETECTOR = Detector(
    name="domains",
    summary="is a domain name made by an algorithm?",
    positive="made",
    negative="chosen",
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
