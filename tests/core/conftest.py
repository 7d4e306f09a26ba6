"""A tiny detector, installed the way a package of somebody else's is: found by its entry point alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.core.detector import Detector
from tocsin.core.plugins import load_detector

MODULE = """
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.schema import Schema
from tocsin.core.types import Sample


class Reading(Sample):
    volts: float | None = None


class Inner(BaseModel):
    depth: int = Field(2, ge=1, le=9, description="levels")


class Config(BaseModel):  # lenient on purpose: recipes refuse unknown keys whatever the detector says
    width: int = Field(8, ge=2, le=64, description="width of a layer")
    kind: Literal["small", "large"] = Field("small", description="which of two")
    inner: Inner | None = Field(None, description="an optional part")

    @model_validator(mode="after")
    def _even(self):
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd")
        return self


DETECTOR = Detector(
    name="tiny", summary="for tests", kind=Decision("bad", "good"),
    schemas={"reading": Schema("reading", Reading, {})}, config=Config,
    encoder=None, load_encoder=None, decode=None, plan="tiny_detector:plan",
    stages=("warm", "fit"), folder=Path(__file__).parent, demo="tiny_detector:demo",
)
"""

DEFAULT = """
detector: tiny
name: tiny
hardware: auto
data: {sample: reading, train: [a.csv]}
model: {width: 8, kind: small, inner: {depth: 2}}
stages:
  warm: {length: 0 epochs}
  fit: {length: 2 epochs, batch_size: 16}
"""


def install(folder: Path, name: str, module: str, source: str, distribution: str) -> None:
    """Lay out what `pip install` would: a package, and a distribution that names it as a detector."""
    package = folder / module
    (package / "recipes").mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    (package / "recipes" / "default.yaml").write_text(DEFAULT)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tocsin.detectors]\n{name} = {module}:DETECTOR\n")


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Detector]:
    folder = tmp_path_factory.mktemp("site")
    install(folder, "tiny", "tiny_detector", MODULE, "tiny_detector")
    monkeypatch.syspath_prepend(folder)
    yield load_detector("tiny")
    del sys.modules["tiny_detector"]  # not by monkeypatch, which would put it back
