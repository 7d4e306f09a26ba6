"""Golden samples: sealed with what the model answered when it was proved, answered again at every load."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tocsin.artifact.manifest import GOLDEN
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.types import Arrays, Columns, Sample, tabulate

TOLERANCE = 1e-5
"""Largest difference of an output; relative for outputs above 1, since float32 has no more digits there."""


@dataclass(frozen=True)
class Golden:
    """A raw sample, and each output of the model for it as a flat float64 array."""

    sample: Sample
    outputs: dict[str, np.ndarray]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sample: dict[str, Any]
    outputs: dict[str, Any]


def read_golden(content: bytes, sample: type[Sample]) -> tuple[Golden, ...]:
    """Parse `golden.jsonl`; InputError names the line, and a file without lines is refused."""
    adapter = TypeAdapter(sample)
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            raw = _Line.model_validate_json(line)
            outputs = {name: np.ravel(np.asarray(v, dtype=np.float64)) for name, v in raw.outputs.items()}
            found.append(Golden(adapter.validate_python(raw.sample), outputs))
        except (ValidationError, ValueError, TypeError):
            raise InputError(f"{GOLDEN}:{number}: not a golden sample of {sample.__name__}") from None
    if not found:
        raise InputError(
            f"{GOLDEN} is missing or empty: nothing shows that this model still answers as it did"
        )
    return tuple(found)


def replay(golden: Sequence[Golden], answer: Callable[[Columns], Iterable[Arrays]]) -> None:
    """Answer the golden samples again; CheckFailed names the first line and output that differ.

    answer: columns -> the outputs of each row, [1, ...], at its own size.
    """
    found = answer(tabulate([g.sample for g in golden], type(golden[0].sample)))
    for number, (line, outputs) in enumerate(zip(golden, found, strict=True), start=1):
        for name, values in outputs.items():
            expected = line.outputs.get(name)
            if expected is None or not _same(np.ravel(values), expected):
                raise CheckFailed(
                    f"{GOLDEN}:{number}: output {name!r} is not what it was when the model was proved"
                )


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape or not np.isfinite(expected).all():
        return False
    return bool((np.abs(found - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all())
