"""A throw-away detector in one folder: does a value flow from source to sink?

It proves list fields, axes of several arrays, a score per node, and places.
"""

from pathlib import Path

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision

from .config import GraphConfig
from .decode import decode
from .encode import GraphEncoder
from .sample import SCHEMA

DETECTOR = Detector(
    name="graphs",
    summary="does a value flow from source to sink?",
    kind=Decision("leak", "clean"),
    schemas={SCHEMA.name: SCHEMA},
    config=GraphConfig,
    encoder=lambda config, schema: GraphEncoder(),
    load_encoder=GraphEncoder.load,
    decode=decode,
    plan=f"{__name__}.training:plan",
    stages=("fit",),
    folder=Path(__file__).parent,
    demo=f"{__name__}.demo:make",
    scan=f"{__name__}.scan:read_graphs",
)
