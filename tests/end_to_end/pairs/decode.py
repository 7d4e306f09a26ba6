"""Scores as verdicts: the usual one, and for a positive the passages, as they stand in what was asked."""

import numpy as np

from tocsin.core.axes import each_row
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import axes_of
from tocsin.core.types import Arrays, Evidence, Verdict
from tocsin.core.verdicts import decode as decide

from .encode import NOWHERE, place_of, read_spans

SPANS = "spans"


def decode(outputs: Arrays, asked: Asked, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Return one verdict a pair."""
    verdicts = decide(outputs, asked, calibration, artifact)
    own = each_row(outputs, axes_of(asked.heads), asked.arrays)
    return [
        verdict.model_copy(update={"evidence": _passages(scores[SPANS][0], row, asked)})
        if verdict.label == calibration.positive
        else verdict
        for row, (verdict, scores) in enumerate(zip(verdicts, own, strict=True))
    ]


def _passages(logit: np.ndarray, row: int, asked: Asked) -> tuple[Evidence, ...]:
    """logit: [L, 2]; its words stand in `asked`, where a passage can only be one of the text."""
    text, characters = asked.columns["text"][row], asked.arrays["characters"][row, : len(logit)]
    found = []
    for first, last in read_spans((logit > 0) & (characters != NOWHERE)):
        start, stop = int(characters[first, 0]), int(characters[last, 1])
        weight = float(min(logit[first, 0], logit[last, 1]))
        found.append(
            Evidence(kind="passage", place=place_of(start, stop), value=text[start:stop], weight=weight)
        )
    return tuple(found)
