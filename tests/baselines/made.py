"""Rows that are given to a baseline by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tocsin.core.baseline import Examples, Inputs
from tocsin.core.types import Arrays, Columns


class Table:
    """An encoder whose flat features are the array `matrix`."""

    def __init__(self, names: list[str], categorical: list[bool]) -> None:
        self.names, self.categorical = names, categorical

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["matrix"], self.names, self.categorical


class Plain:
    """An encoder of one column of text."""

    def texts(self, columns: Columns) -> list[str]:
        return columns["text"].tolist()

    def hide_passages(self, columns: Columns) -> Arrays: ...


def table(
    matrix: np.ndarray, categorical: list[bool] | None = None, names: list[str] | None = None
) -> Inputs:
    """Rows [N, F] as they are."""
    width = matrix.shape[1]
    encoder: Any = Table(names or [f"f{i}" for i in range(width)], categorical or [False] * width)
    return Inputs(encoder, {"matrix": matrix})


def texts_only(texts: list[str]) -> Inputs:
    """Texts, and an array of their lengths."""
    encoder: Any = Plain()
    columns = {"text": np.array(texts, dtype=object)}
    return Inputs(encoder, {"length": np.array([len(text) for text in texts])}, columns)


def arrays_only(arrays: Arrays) -> Inputs:
    """Arrays without an encoder."""
    encoder: Any = SimpleNamespace()
    return Inputs(encoder, arrays)


def labelled(inputs: Inputs, label: np.ndarray) -> Examples:
    """Put labels beside rows."""
    return Examples(inputs.encoder, inputs.arrays, inputs.columns, label=label)
