"""What every check looks at: the rows on each side of a fold, and what the recipe states about them.

Shapes: N rows of a side, M rows of the dataset and the official test together.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from tocsin.audit.columns import describe_columns
from tocsin.audit.findings import ColumnFacts, Finding
from tocsin.core.recipe import SourceSection, SplitSection
from tocsin.data.clusters import connect, near_duplicates
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import row_keys, text_keys
from tocsin.data.splits import Fold
from tocsin.data.texts import find_texts, join_texts, text_columns

EXAMPLES = 5
Found = TypeVar("Found")


@dataclass(frozen=True)
class Stated:
    """What the recipe says about the rows."""

    split: SplitSection = field(default_factory=SplitSection)
    sources: Mapping[str, SourceSection] = field(default_factory=dict)
    """File name or glob -> where the rows come from."""
    prior: float | None = None
    """Share of positives where the model will be used."""
    max_false_positive_rate: float = 0.01
    threads: int = 1


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows on each side of a fold."""

    dataset: Dataset
    fold: Fold
    official: Dataset | None
    stated: Stated = field(default_factory=Stated)
    _known: dict[Callable[["Sides"], Any], Any] = field(default_factory=dict)

    def once(self, measure: Callable[["Sides"], Found]) -> Found:
        """Return what a function measures on these sides; it runs only the first time."""
        if measure not in self._known:
            self._known[measure] = measure(self)
        found: Found = self._known[measure]
        return found

    @cached_property
    def parts(self) -> Mapping[str, Dataset]:
        """Training, validation and test rows."""
        return {side: self.take(side, index) for side, index in self.index.items()}

    @property
    def index(self) -> Mapping[str, np.ndarray]:
        """Side -> its rows in the dataset; those of the test in the official test where there is one."""
        return {"train": self.fold.train, "valid": self.fold.valid, "test": self.fold.test}

    def take(self, side: str, index: np.ndarray) -> Dataset:
        """Select rows of the dataset, or of the official test where the side is `test`."""
        return (self.official if side == "test" and self.official is not None else self.dataset).take(index)

    @cached_property
    def keys(self) -> Mapping[str, np.ndarray]:
        """Side -> uint64 [N], equal where all features are."""
        return {side: row_keys(part.columns) for side, part in self.parts.items()}

    @cached_property
    def likeness(self) -> np.ndarray:
        """[M] clusters of near-duplicates and groups: rows of the dataset, then of the official test."""
        if self.fold.likeness is not None:
            return self.fold.likeness
        every = [self.dataset] if self.official is None else [self.dataset, self.official]
        columns = {k: np.concatenate([d.columns[k] for d in every]) for k in self.dataset.columns}
        keys = [near_duplicates(columns, self.stated.split.digits, self.stated.split.text)]
        if all(d.group is not None for d in every):
            keys.append(text_keys(g for d in every if d.group is not None for g in d.group))
        return connect(keys, len(keys[0]))

    @cached_property
    def clusters(self) -> Mapping[str, np.ndarray]:
        """Side -> [N] clusters of near-duplicates and groups."""
        offset = 0 if self.official is None else len(self.dataset)
        return {s: self.likeness[i + (offset if s == "test" else 0)] for s, i in self.index.items()}

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """Facts about every field, the most telling first."""
        return describe_columns(self.parts["train"], self.parts["valid"])

    @cached_property
    def texts(self) -> list[str]:
        """Columns of free text."""
        return find_texts(self.dataset.columns, self.stated.split.text)

    @property
    def names(self) -> list[str]:
        """Text columns that hold names and codes, not free text."""
        return [name for name in text_columns(self.dataset.columns) if name not in self.texts]

    def everything(self) -> Iterator[Dataset]:
        """Yield the dataset, and the official test where there is one."""
        yield self.dataset
        if self.official is not None:
            yield self.official


Check = Callable[[Sides], Iterator[Finding]]


def of_labels(check: Check) -> Check:
    """Return a check that runs where the truth of the rows is a label; pairs and answers have none."""

    @wraps(check)
    def run(sides: Sides) -> Iterator[Finding]:
        if "label" in sides.dataset.truth:
            yield from check(sides)

    return run


def read_texts(part: Dataset, texts: list[str]) -> list[str]:
    """Return what each row says in its columns of free text."""
    return join_texts(part.columns, texts) if texts else [""] * len(part)


def has_both(label: np.ndarray, least: int = 1) -> bool:
    """Tell whether labels [N] are all 0 and 1, with so many of each."""
    counts = Counter(label.tolist())
    return counts.keys() == {0, 1} and min(counts.values()) >= least


def count(values: np.ndarray) -> dict[str, int]:
    """Return value -> number of rows, the most frequent first."""
    names, counts = np.unique(np.array([str(value) for value in values]), return_counts=True)
    return dict(sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: -item[1]))


def is_missing(column: np.ndarray) -> np.ndarray:
    """Tell of each value, bool [N], whether there is none."""
    return np.array([v is None for v in column], dtype=bool) if column.dtype == object else np.isnan(column)


def examples(part: Dataset, found: np.ndarray) -> tuple[str, ...]:
    """Return the ids of the first few rows found."""
    return tuple(str(name) for name in part.ids[found[:EXAMPLES]])


def enumerate_items(what: str, items: Mapping[str, str], most: int = 10) -> str:
    """Write a few items, and how many more there are."""
    shown = ", ".join(f"{name} {value}" for name, value in list(items.items())[:most])
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{what}: {shown}{more}"
