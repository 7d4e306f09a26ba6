"""A detector that is small enough to know its answers by hand; found under the name `toy`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.detector import Calibration, Detector, Schema
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays, Columns, Files, Sample, Verdict

PROTOCOLS = ("tcp", "udp")


class Toy(Sample):
    """Two numbers and two texts."""

    a: float | None = None
    b: float | None = Field(None, ge=-1e6, le=1e6)
    protocol: str = Field("tcp", max_length=2000)
    note: str | None = None


class ToyEncoder:
    """numeric [B, 2], state [B, 2], categorical [B, 1]. `before` is called with the columns before each block."""

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

    def hide(self, arrays: Arrays) -> Iterator[tuple[str, Arrays]]:
        for i, name in enumerate(("a", "b")):
            numeric, state = arrays["numeric"].copy(), arrays["state"].copy()
            numeric[:, i], state[:, i] = 0.0, 2
            yield name, {**arrays, "numeric": numeric, "state": state}
        yield "protocol", {**arrays, "categorical": np.zeros_like(arrays["categorical"])}

    def save(self) -> Files:
        return {"toy.json": b"{}"}

    @classmethod
    def load(cls, files: Files) -> Self:
        if files != {"toy.json": b"{}"}:
            raise InputError("not a toy encoder")
        return cls()


def decode(outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
    p = 1 / (1 + np.exp(-outputs["logit"].astype(np.float64) / calibration.temperature))
    best = outputs["category"].argmax(axis=1)
    low = calibration.abstain_below if calibration.abstain_below is not None else calibration.threshold
    return [
        Verdict(
            label=calibration.positive if q >= calibration.threshold else calibration.negative,
            probability=q,
            threshold=calibration.threshold,
            abstain=low <= q < calibration.threshold,
            category=calibration.categories[k] if q >= calibration.threshold else None,
            artifact=artifact,
        )
        for q, k in zip(p.tolist(), best.tolist(), strict=True)
    ]


class Nothing(BaseModel):
    """No settings."""


def slow_by(seconds: float) -> None:
    """Make every block take longer, as a larger model would."""
    ToyEncoder.before = staticmethod(lambda _columns: time.sleep(seconds))


_SCHEMA: Any = Schema("toy", Toy, {})

DETECTOR = Detector(
    name="toy",
    summary="Toys",
    positive="bad",
    negative="good",
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
