"""How an encoder's arrays become one matrix: said once, for numpy and for an ONNX graph alike."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tocsin.core.types import Arrays


@dataclass(frozen=True)
class FlatPart:
    """Columns of the matrix that are one of the arrays, with NaN where a code beside them says missing."""

    array: str
    """[B, F], numbers or codes."""
    codes: str
    """[B, F] of whole numbers: the array that tells what is missing; it may be `array` itself."""
    missing: tuple[int, ...]
    """Codes that mean missing."""


@runtime_checkable
class FlatEncoder(Protocol):
    """An encoder whose `flatten` is nothing but these parts beside each other: its baselines can be shipped."""

    def flat_parts(self) -> tuple[FlatPart, ...]:
        """Return the parts of the matrix, from left to right."""
        ...


def flatten_parts(parts: tuple[FlatPart, ...], arrays: Arrays) -> np.ndarray:
    """Return the float32 matrix [B, sum of F]."""
    columns = [
        np.where(
            np.isin(arrays[part.codes], part.missing),
            np.float32(np.nan),
            arrays[part.array].astype(np.float32),
        )
        for part in parts
    ]
    return np.concatenate(columns, axis=1)
