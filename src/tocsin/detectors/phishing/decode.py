"""Logits to verdicts. Shapes: B rows, K kinds of messages."""

import numpy as np

from tocsin.core.detector import Calibration
from tocsin.core.types import Arrays, Verdict


def decode(outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Read `logit` [B] and, where there are kinds, `category` [B, K]."""
    logit = outputs["logit"].astype(np.float64) / calibration.temperature
    probability = np.exp(-np.logaddexp(0.0, -logit))
    kinds = outputs["category"].argmax(axis=1) if "category" in outputs else [None] * len(logit)
    return [
        _verdict(p, None if kind is None else int(kind), calibration, artifact)
        for p, kind in zip(probability.tolist(), kinds, strict=True)
    ]


def _verdict(probability: float, kind: int | None, calibration: Calibration, artifact: str) -> Verdict:
    is_positive = probability >= calibration.threshold
    below, names = calibration.abstain_below, calibration.categories
    return Verdict(
        label=calibration.positive if is_positive else calibration.negative,
        probability=probability,
        threshold=calibration.threshold,
        abstain=below is not None and below <= probability and not is_positive,
        category=names[kind] if is_positive and names and kind is not None else None,
        artifact=artifact,
    )
