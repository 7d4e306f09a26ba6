"""A detector of mail that is small enough to know its answers by hand: it counts two words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, Field

from tocsin.core.axes import Axes
from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.schema import Layout, Row, Schema, truth_of
from tocsin.core.types import Arrays, Columns, Files, Place, Sample
from tocsin.core.verdicts import decode

WORDS = ("password", "meeting")


class Note(Sample):
    """A message; the sender's domain, which groups rows, is no field."""

    text: str = Field(min_length=1, max_length=100_000)
    subject: str | None = Field(None, max_length=2000)
    language: str | None = None
    channel: Literal["email", "sms", "chat", "url"] = "email"


class NoteEncoder:
    """counts [B, 2]."""

    axes: ClassVar[Axes] = {}

    def fit(self, columns: Columns) -> Self:
        return self

    def encode(self, columns: Columns) -> Arrays:
        texts = [text.casefold() for text in columns["text"]]
        counts = [[min(text.count(word), 3) for word in WORDS] for text in texts]
        return {"counts": np.array(counts, dtype=np.float32).reshape(-1, 2)}

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["counts"], list(WORDS), [False, False]

    def hide(self, columns: Columns, arrays: Arrays) -> Iterator[tuple[Place, Arrays]]:
        for i, word in enumerate(WORDS):
            counts = arrays["counts"].copy()
            counts[:, i] = 0
            yield Place(where=word), {"counts": counts}

    def watch(self, arrays: Arrays) -> Columns:
        return {}

    def save(self) -> Files:
        return {}

    @classmethod
    def load(cls, files: Files) -> Self:
        return cls()


def label(row: Row) -> Row:
    if row["label"] not in ("yes", "no"):
        raise ValueError(f"label is {row['label']!r}, not yes or no")
    return truth_of(row["label"] == "yes")


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
    kind=Decision("phishing", "legitimate"),
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
