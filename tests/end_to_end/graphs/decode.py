"""Scores as verdicts: the usual one, and the nodes of the path for a positive."""

import numpy as np

from tocsin.core.axes import each_row
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import axes_of
from tocsin.core.types import Arrays, Evidence, Verdict
from tocsin.core.verdicts import decode as decide

from .encode import place_of
from .sample import NODES

PATH = "path"


def decode(outputs: Arrays, asked: Asked, calibration: Calibration, artifact: str) -> list[Verdict]:
    """Return one verdict a graph; a positive one names the nodes whose logit is above 0, as they stand."""
    verdicts = decide(outputs, asked, calibration, artifact)
    own = each_row(outputs, axes_of(asked.heads), asked.arrays)
    return [
        verdict.model_copy(update={"evidence": _path(scores[PATH][0], row, asked)})
        if verdict.label == calibration.positive
        else verdict
        for row, (verdict, scores) in enumerate(zip(verdicts, own, strict=True))
    ]


def _path(logit: np.ndarray, row: int, asked: Asked) -> tuple[Evidence, ...]:
    nodes, lines = (asked.columns[name][row] for name in ("nodes", "lines"))
    return tuple(
        Evidence(
            kind="path",
            place=place_of(node, lines[node]),
            value=NODES[nodes[node]],
            weight=float(logit[node]),
        )
        for node in np.flatnonzero(logit > 0).tolist()
    )
