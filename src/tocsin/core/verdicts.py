"""The usual decoder: a probability, a threshold, and the kind of a positive. Shapes: B rows, K kinds."""

from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import decision_of, kinds_of, probability
from tocsin.core.types import Arrays, Verdict


def decode(outputs: Arrays, asked: Asked, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Read the decision [B] and, where kinds are known, their head [B, K]; evidence is looked for elsewhere."""
    found = probability(outputs[decision_of(asked.heads).name], calibration.temperature)
    kinds = kinds_of(asked.heads)
    if kinds is None or not calibration.categories:
        names: list[str | None] = [None] * len(found)
    else:
        names = [calibration.categories[kind] for kind in outputs[kinds.name].argmax(axis=1).tolist()]
    return [_verdict(p, name, calibration, artifact) for p, name in zip(found.tolist(), names, strict=True)]


def _verdict(probability: float, kind: str | None, calibration: Calibration, artifact: str) -> Verdict:
    is_positive = probability >= calibration.threshold
    below = calibration.abstain_below
    return Verdict(
        label=calibration.positive if is_positive else calibration.negative,
        probability=probability,
        threshold=calibration.threshold,
        abstain=below is not None and below <= probability and not is_positive,
        category=kind if is_positive else None,
        artifact=artifact,
    )
