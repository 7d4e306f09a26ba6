"""A dataset: validated columns, the truth about each row, and the rows that were refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tocsin.core.types import Columns, take


@dataclass(frozen=True)
class BadRow:
    """A row that was refused, and why."""

    file: str
    line: int
    reason: str


def read_label(truth: Columns, count: int) -> np.ndarray:
    """Return [count] int64: 1 positive, 0 negative, -1 without a label, as where the truth is no `Label`."""
    if "label" not in truth:
        return np.full(count, -1, dtype=np.int64)
    return np.where(np.isnan(truth["label"]), -1, truth["label"]).astype(np.int64)


def read_category(truth: Columns, count: int) -> np.ndarray:
    """Return [count] object: the kind of a positive, or the empty string."""
    kinds = truth.get("category", np.full(count, None, dtype=object))
    return np.where(read_label(truth, count) == 1, [kind or "" for kind in kinds], "").astype(object)


@dataclass(frozen=True)
class Dataset:
    """Row-aligned columns and truth. Shapes: N rows."""

    columns: Columns
    """Field of the sample -> [N]."""
    truth: Columns
    """Field of the schema's truth -> [N]; missing where a row carries none."""
    ids: np.ndarray
    """[N] object: `file name:line`."""
    source: np.ndarray
    """[N] object: file name."""
    group: np.ndarray | None = None
    """[N] object, or None: rows of one group stay on one side of a split."""
    time: np.ndarray | None = None
    """[N] float64 or object that sorts, or None."""
    facets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> [N] object, text or None: what rows are divided, drawn, held out and reported by."""
    refused: Sequence[BadRow] = ()
    repairs: tuple[tuple[str, int], ...] = ()
    """(quirk that was handled, number of values): counted, so that nothing changes in silence."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def label(self) -> np.ndarray:
        """[N] int64: 1 positive, 0 negative, -1 without a label."""
        return read_label(self.truth, len(self))

    @cached_property
    def category(self) -> np.ndarray:
        """[N] object: kind of a positive, or the empty string."""
        return read_category(self.truth, len(self))

    def take(self, index: np.ndarray) -> "Dataset":
        """Select rows by index."""
        return replace(
            self,
            columns=take(self.columns, index),
            truth=take(self.truth, index),
            ids=self.ids[index],
            source=self.source[index],
            group=None if self.group is None else self.group[index],
            time=None if self.time is None else self.time[index],
            facets=take(self.facets, index),
        )

    def slices(self) -> dict[str, np.ndarray]:
        """Return what the rows differ in, name -> [N]: their facets, and the file where no facet says the source."""
        found = {"source": self.source, **{k: v for k, v in self.facets.items() if k != "split"}}
        return {name: values for name, values in found.items() if len(set(values)) > 1}
