"""A throw-away detector in one folder: a small language model that writes the firewall rule a sentence asks for."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.axes import Axes, Axis
from tocsin.core.detector import Detector
from tocsin.core.errors import InputError
from tocsin.core.kinds import Answer
from tocsin.core.schema import Layout, Row, Schema
from tocsin.core.types import Arrays, Columns, Files, Place, Sample
from tocsin.core.verdicts import decode

PLACES = Axis("places", length="length")


class Request(Sample):
    """What somebody wants of the firewall."""

    question: str = Field(min_length=1, max_length=60, description="a sentence in plain words")


class Rule(Sample):
    """The truth about a request."""

    answer: str | None = Field(None, min_length=1, max_length=30, description="the rule that it asks for")


class FirewallConfig(BaseModel):
    """The model section of the recipe."""

    width: int = Field(48, ge=8, le=256, multiple_of=4, description="numbers of a place")
    layers: int = Field(2, ge=1, le=8, description="blocks on top of each other")
    rank: int = Field(8, ge=1, le=64, description="rank of the adapters")


class ByteEncoder:
    """The bytes of a request. It learns nothing."""

    axes: ClassVar[Axes] = {"tokens": (PLACES,)}

    def fit(self, columns: Columns) -> Self:
        return self

    def encode(self, columns: Columns) -> Arrays:
        return pack([question.encode() for question in columns["question"]])

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["length"][:, None].astype(np.float32), ["length"], [False]

    def hide(self, columns: Columns, arrays: Arrays) -> Iterable[tuple[Place, Arrays]]:
        return ()

    def watch(self, arrays: Arrays) -> Columns:
        return {"length": arrays["length"].astype(np.float64)}

    def save(self) -> Files:
        return {"bytes.json": b"{}"}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files != (found := cls()).save():
            raise InputError("bytes.json is of another encoder")
        return found


def pack(rows: list[bytes] | list[list[int]]) -> Arrays:
    """Return tokens [N, L] int64 and their number, length [N]; 0 stands behind a row's end."""
    length = np.array([len(row) for row in rows], dtype=np.int64)
    tokens = np.zeros((len(rows), max(1, length.max(initial=1))), dtype=np.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = list(row)
    return {"tokens": tokens, "length": length}


def _record(row: Row) -> Row:
    return {"question": row["request"]}


def _truth(row: Row) -> Row:
    return {"answer": row["rule"]}


LAYOUT = Layout("requests", frozenset({"request", "rule"}), _record, _truth, denied={"rule": "the answer"})
DETECTOR = Detector(
    name="firewall",
    summary="writes the firewall rule that a sentence asks for",
    kind=Answer(),
    schemas={"request": Schema("request", Request, {"requests": LAYOUT}, truth=Rule)},
    config=FirewallConfig,
    encoder=lambda config, schema: ByteEncoder(),
    load_encoder=ByteEncoder.load,
    decode=decode,
    plan=f"{__name__}.training:plan",
    stages=("base", "adapt"),
    folder=Path(__file__).parent,
    demo=f"{__name__}.made:make",
    runtime="chat",
    answer=f"{__name__}.writer:load",
)
