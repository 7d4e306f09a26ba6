"""A throw-away detector in one folder: is a login an attack?

It proves cross-fitting: two models, a third that is fitted on their out-of-fold scores, and one graph of all three.
"""

from pathlib import Path

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.verdicts import decode

from .config import FusedConfig
from .encode import LoginEncoder
from .sample import SCHEMA

DETECTOR = Detector(
    name="fused",
    summary="is a login an attack?",
    kind=Decision("attack", "usual"),
    schemas={SCHEMA.name: SCHEMA},
    config=FusedConfig,
    encoder=lambda config, schema: LoginEncoder(),
    load_encoder=LoginEncoder.load,
    decode=decode,
    plan=f"{__name__}.training:plan",
    stages=("numbers", "words", "fusion"),
    folder=Path(__file__).parent,
    demo=f"{__name__}.demo:make",
    scan=f"{__name__}.scan:read_logins",
)
