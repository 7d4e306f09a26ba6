"""A dataset: validated columns, the truth about each row, and the rows that were refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.core.types import Columns, take


@dataclass(frozen=True)
class BadRow:
    """A row that was refused, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Row-aligned columns and truth. Shapes: N rows."""

    columns: Columns
    """Field of the sample -> [N]."""
    label: np.ndarray
    """[N] int64: 1 positive, 0 negative, -1 unlabelled."""
    category: np.ndarray
    """[N] object: kind of positive, or the empty string."""
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
        return len(self.label)

    def take(self, index: np.ndarray) -> "Dataset":
        """Select rows by index."""
        return replace(
            self,
            columns=take(self.columns, index),
            label=self.label[index],
            category=self.category[index],
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
