"""A language model that is small enough to know its answers by hand; found under the name `parrot`."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from tocsin.core.detector import Detector
from tocsin.core.kinds import Answer
from tocsin.core.schema import Schema
from tocsin.core.types import Sample


class Question(Sample):
    """The word that the answer begins after."""

    word: str = Field(max_length=100)


class Nothing(BaseModel):
    """No settings."""


def _unused(*_given: Any) -> Any:
    raise AssertionError("no verdict is given by a language model")


_SCHEMA: Any = Schema("question", Question, {})

DETECTOR = Detector(
    name="parrot",
    summary="Words after a word",
    kind=Answer(),
    schemas={"question": _SCHEMA},
    config=Nothing,
    encoder=_unused,
    load_encoder=_unused,
    decode=_unused,
    plan="nowhere:nothing",
    stages=(),
    folder=Path(__file__).parent,
    demo="nowhere:nothing",
    runtime="chat",
    answer="tocsin.detectors.parrot.bigrams:load",
)
