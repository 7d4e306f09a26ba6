"""A detector that is small enough to know its answers by hand; found under the name `toy`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.axes import Axes
from tocsin.core.detector import Detector
from tocsin.core.errors import InputError
from tocsin.core.kinds import Decision
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, Files, Place, Sample
from tocsin.core.verdicts import decode

PROTOCOLS = ("tcp", "udp")


class Toy(Sample):
    """Two numbers and two texts."""

    a: float | None = None
    b: float | None = Field(None, ge=-1e6, le=1e6)
    protocol: str = Field("tcp", max_length=2000)
    note: str | None = None


class ToyEncoder:
    """numeric [B, 2], state [B, 2], categorical [B, 1]. `before` is called with the columns before each block."""

    axes: ClassVar[Axes] = {}
    before: Callable[[Columns], None] | None = None

    def fit(self, columns: Columns) -> Self:
        return self

    def encode(self, columns: Columns) -> Arrays:
        if self.before is not None:
            type(self).before(columns)
        x = np.stack([columns["a"], columns["b"]], axis=1)
        present = np.isfinite(x)
        numeric = np.tanh(np.where(present, x, 0.0)).astype(np.float32)
        numeric[[note == "not finite" for note in columns["note"]]] = np.nan
        codes = [PROTOCOLS.index(p) + 1 if p in PROTOCOLS else 0 for p in columns["protocol"]]
        return {
            "numeric": numeric,
            "state": (~present).astype(np.int64),
            "categorical": np.array(codes, dtype=np.int64)[:, None],
        }

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["numeric"], ["a", "b"], [False, False]

    def hide(self, columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        for i, name in enumerate(("a", "b")):
            numeric, state = arrays["numeric"].copy(), arrays["state"].copy()
            numeric[:, i], state[:, i] = 0.0, 2
            yield Place(where=name), {**arrays, "numeric": numeric, "state": state}
        yield Place(where="protocol"), {**arrays, "categorical": np.zeros_like(arrays["categorical"])}

    def watch(self, arrays: Arrays) -> Columns:
        return {}

    def save(self) -> Files:
        return {"toy.json": b"{}"}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files != {"toy.json": b"{}"}:
            raise InputError("not a toy encoder")
        return cls()


class Nothing(BaseModel):
    """No settings."""


def slow_by(seconds: float) -> None:
    """Make every block take longer, as a larger model would."""
    ToyEncoder.before = staticmethod(lambda _columns: time.sleep(seconds))


_SCHEMA: Any = Schema("toy", Toy, {})

DETECTOR = Detector(
    name="toy",
    summary="Toys",
    kind=Decision("bad", "good"),
    schemas={"toy": _SCHEMA},
    config=Nothing,
    encoder=lambda _config, _schema: ToyEncoder(),
    load_encoder=ToyEncoder.load,
    decode=decode,
    plan="nowhere:nothing",
    stages=(),
    folder=Path(__file__).parent,
    demo="nowhere:nothing",
)
