"""Logits to verdicts. Shapes: B rows, K attack categories."""

import numpy as np

from tocsin.core.detector import Calibration
from tocsin.core.types import Arrays, Verdict


def decode(outputs: Arrays, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Read `logit` [B] and, where there are categories, `category` [B, K]."""
    probability = _sigmoid(outputs["logit"].astype(np.float64) / calibration.temperature)
    positive = probability >= calibration.threshold
    below = calibration.abstain_below
    unsure = np.zeros_like(positive) if below is None else (probability >= below) & ~positive
    rows = zip(
        probability.tolist(), positive.tolist(), unsure.tolist(), _kinds(outputs, calibration), strict=True
    )
    return [
        Verdict(
            label=calibration.positive if is_positive else calibration.negative,
            probability=p,
            threshold=calibration.threshold,
            abstain=abstain,
            category=kind if is_positive else None,
            artifact=artifact,
        )
        for p, is_positive, abstain, kind in rows
    ]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    probability: np.ndarray = np.where(x >= 0, 1.0, small) / (1.0 + small)
    return probability


def _kinds(outputs: Arrays, calibration: Calibration) -> list[str | None]:
    if not calibration.categories or "category" not in outputs:
        return [None] * len(outputs["logit"])
    return [calibration.categories[i] for i in outputs["category"].argmax(axis=1).tolist()]
