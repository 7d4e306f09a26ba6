"""A detector of mail that is small enough to know its answers by hand: it counts two words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.detector import Calibration, Detector, Label, Layout, Row, Schema
from tocsin.core.types import Arrays, Columns, Files, Sample, Verdict

WORDS = ("password", "meeting")


class Note(Sample):
    """A message; the sender's domain, which groups rows, is no field."""

    text: str = Field(min_length=1, max_length=100_000)
    subject: str | None = Field(None, max_length=2000)
    language: str | None = None
    channel: Literal["email", "sms", "chat", "url"] = "email"


class NoteEncoder:
    """counts [B, 2]."""

    def fit(self, columns: Columns) -> Self:
        return self

    def encode(self, columns: Columns) -> Arrays:
        texts = [text.casefold() for text in columns["text"]]
        counts = [[min(text.count(word), 3) for word in WORDS] for text in texts]
        return {"counts": np.array(counts, dtype=np.float32).reshape(-1, 2)}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["counts"], list(WORDS), [False, False]

    def hide(self, arrays: Arrays) -> Iterator[tuple[str, Arrays]]:
        for i, word in enumerate(WORDS):
            counts = arrays["counts"].copy()
            counts[:, i] = 0
            yield word, {"counts": counts}

    def save(self) -> Files:
        return {}

    @classmethod
    def load(cls, files: Files) -> Self:
        return cls()


def decode(outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Sigmoid, threshold and band."""

    def verdict(logit: float) -> Verdict:
        p = float(1 / (1 + np.exp(-logit)))
        low = calibration.abstain_below
        return Verdict(
            label=calibration.positive if p >= calibration.threshold else calibration.negative,
            probability=p,
            threshold=calibration.threshold,
            abstain=low is not None and low <= p < calibration.threshold,
            artifact=artifact,
        )

    return [verdict(x) for x in outputs["logit"].astype(np.float64)]


def label(row: Row) -> Label:
    if row["label"] not in ("yes", "no"):
        raise ValueError(f"label is {row['label']!r}, not yes or no")
    return Label(row["label"] == "yes")


LAYOUT = Layout(
    "notes",
    frozenset({"text", "language", "label"}),
    lambda row: {name: row[name] for name in ("text", "language")},
    label,
    {"label": "the truth", "origin": "where it came from"},
)


def nothing(*_: Any) -> Any:
    raise NotImplementedError


DETECTOR = Detector(
    name="mailtoy",
    summary="counts two words",
    positive="phishing",
    negative="legitimate",
    schemas={"note": Schema("note", Note, {"notes": LAYOUT})},
    config=BaseModel,
    encoder=nothing,
    load_encoder=NoteEncoder.load,
    decode=decode,
    plan="none:none",
    stages=(),
    folder=Path(__file__).parent,
    demo="none:none",
    scan="tocsin.detectors.phishing.mailbox:read_mail",
)
