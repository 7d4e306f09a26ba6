"""Arrays that one process lends to others: written once, mapped by all, so that N processes hold them once.

Numbers go through a file, which the processes of a machine share page by page; the rest (texts, short arrays) is
sent as it is.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import numpy as np

LEAST = 1 << 16
"""Bytes of an array for which a file pays."""


@dataclass(frozen=True)
class Lent:
    """Stands for an array that lies in a file."""

    path: Path


Lending = Mapping[str, "np.ndarray | Lent"]


def lend(arrays: Mapping[str, np.ndarray], folder: Path) -> dict[str, np.ndarray | Lent]:
    """Write the large arrays of numbers into a folder; returns all arrays, those as what stands for them."""
    return {name: _lend(values, folder) for name, values in arrays.items()}


def _lend(values: np.ndarray, folder: Path) -> np.ndarray | Lent:
    if values.dtype.kind not in "biuf" or values.nbytes < LEAST:
        return values
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{token_hex(8)}.npy"
    np.save(path, values, allow_pickle=False)
    return Lent(path)


def borrow(arrays: Lending) -> dict[str, np.ndarray]:
    """Return the arrays themselves; those in files are mapped, and a change of one changes nobody else's."""
    return {
        name: np.load(values.path, mmap_mode="c", allow_pickle=False) if isinstance(values, Lent) else values
        for name, values in arrays.items()
    }


def take_back(folder: Path) -> None:
    """Remove the files; who has them mapped keeps them."""
    if folder.exists():
        shutil.rmtree(folder)
