"""Network flows: attack or normal, and which kind of attack."""

from pathlib import Path

from tocsin.core.detector import Detector
from tocsin.core.kinds import Decision
from tocsin.core.schema import Schema
from tocsin.core.verdicts import decode
from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.encode import make_encoder
from tocsin.detectors.intrusion.layouts import CICIDS, NSL_KDD, UNSW
from tocsin.detectors.intrusion.layouts_flow import FLOW_LAYOUTS
from tocsin.detectors.intrusion.sample import Flow, NslKddConnection, UnswFlow
from tocsin.detectors.intrusion.sample_cicids import CicidsFlow
from tocsin.features.tabular import TabularEncoder

SCHEMAS = (
    Schema("flow", Flow, {layout.name: layout for layout in FLOW_LAYOUTS}),
    Schema("unsw", UnswFlow, {UNSW.name: UNSW}),
    Schema("nsl_kdd", NslKddConnection, {NSL_KDD.name: NSL_KDD}),
    Schema("cicids", CicidsFlow, {CICIDS.name: CICIDS}),
)

DETECTOR = Detector(
    name="intrusion",
    summary="tells attacks from normal traffic by the features of a network flow, and names their kind",
    kind=Decision(positive="attack", negative="normal"),
    schemas={schema.name: schema for schema in SCHEMAS},
    config=IntrusionConfig,
    encoder=make_encoder,
    load_encoder=TabularEncoder.load,
    decode=decode,
    plan="tocsin.detectors.intrusion.training:plan",
    stages=("pretrain", "finetune"),
    folder=Path(__file__).parent,
    demo="tocsin.detectors.intrusion.demo:make",
    tests={
        "D7": ("tocsin/features/",),
        "I2": ("tests.nn", "tests.engine", "tests.detectors", "nn.", "engine.", "detectors."),
        "I3": ("end_to_end",),
    },
)
