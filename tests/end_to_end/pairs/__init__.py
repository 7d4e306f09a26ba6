"""A throw-away detector in one folder: does a text meet a criterion, and where?

It proves a truth of one's own, targets as long as their rows, a span head, and places in a text.
"""

from pathlib import Path

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision

from .config import PairConfig
from .decode import decode
from .encode import PairEncoder
from .sample import SCHEMA

DETECTOR = Detector(
    name="pairs",
    summary="does a text meet a criterion, and where?",
    kind=Decision("meets", "does not"),
    schemas={SCHEMA.name: SCHEMA},
    config=PairConfig,
    encoder=lambda config, schema: PairEncoder(),
    load_encoder=PairEncoder.load,
    decode=decode,
    plan=f"{__name__}.training:plan",
    stages=("fit",),
    folder=Path(__file__).parent,
    demo=f"{__name__}.demo:make",
    scan=f"{__name__}.scan:read_pairs",
)
