"""Messages in any language: phishing or legitimate."""

from pathlib import Path

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.schema import Schema
from tocsin.core.verdicts import decode
from tocsin.detectors.phishing.config import PhishingConfig
from tocsin.detectors.phishing.encode import MessageEncoder, make_encoder
from tocsin.detectors.phishing.layouts import LAYOUTS
from tocsin.detectors.phishing.sample import Message

SCHEMA = Schema("message", Message, {layout.name: layout for layout in LAYOUTS})

DETECTOR = Detector(
    name="phishing",
    summary="tells phishing from legitimate messages in any language, and shows the passages that say so",
    kind=Decision(positive="phishing", negative="legitimate"),
    schemas={SCHEMA.name: SCHEMA},
    config=PhishingConfig,
    encoder=make_encoder,
    load_encoder=MessageEncoder.load,
    decode=decode,
    plan="tocsin.detectors.phishing.training:plan",
    stages=("fit",),
    folder=Path(__file__).parent,
    demo="tocsin.detectors.phishing.demo:make",
    tests={
        "D7": (
            "tocsin/features/",
            "tocsin/detectors/phishing/features/",
            "tocsin/detectors/phishing/encode.py",
        ),
        "I2": ("tests.nn", "tests.engine", "tests.detectors", "nn.", "engine.", "detectors."),
        "I3": ("end_to_end",),
    },
    scan="tocsin.detectors.phishing.mailbox:read_mail",
    scans="mail as .eml, mbox or Maildir; - is one message, or an mbox",
)
