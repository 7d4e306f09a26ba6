"""From a recipe to rows that are read, checked, split and encoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tocsin.audit.findings import AuditReport
from tocsin.core.detector import Detector
from tocsin.core.encoder import Encoder
from tocsin.core.plugins import load_detector
from tocsin.core.recipe import Recipe
from tocsin.core.recipes import Resolved, load_recipe
from tocsin.core.schema import Schema
from tocsin.data.dataset import Dataset
from tocsin.data.likeness import dependent_rows
from tocsin.data.sources import read, reading_of
from tocsin.data.splits import Fold, split
from tocsin.engine.hardware import detect
from tocsin.engine.task import Part

RARE = 20
"""Categories with fewer training rows than this are not answered by name: there is too little to learn from."""


@dataclass(frozen=True)
class Prepared:
    """All rows of a recipe and how they are divided."""

    detector: Detector
    recipe: Recipe[Any]
    schema: Schema
    dataset: Dataset
    official: Dataset | None
    """The rows of `data.test`, or None when the test is cut from the dataset."""
    unlabelled: Dataset | None
    folds: tuple[Fold, ...]
    audits: dict[str, AuditReport] = field(default_factory=dict, repr=False)
    """Fingerprint of a fold -> its audit, once it was made."""
    groups: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, repr=False)
    """(fingerprint of a fold, side) -> which rows count together, once it is known."""

    def test(self, fold: Fold) -> Dataset:
        """Return the test rows of a fold."""
        return (self.dataset if self.official is None else self.official).take(fold.test)

    def group(self, fold: Fold, side: Literal["valid", "test"]) -> np.ndarray:
        """Return which rows of a side count together, int64 [N]; clustered once, whatever the number of seeds.

        By the rows of the side alone, not by `Fold.likeness`: who has only these rows finds the same groups, and so
        the same intervals.
        """
        key = (fold.fingerprint, side)
        if key not in self.groups:
            rows = self.dataset.take(fold.valid) if side == "valid" else self.test(fold)
            self.groups[key] = dependent_rows(rows, self.recipe.split)
        return self.groups[key]


def resolve_recipe(written: Path | Mapping[str, Any], sets: Sequence[str]) -> Resolved:
    """Load a recipe, a file or what one holds, with its overlays; `hardware: auto` looks at this machine."""
    return load_recipe(written, sets, detect)


def prepare(recipe: Recipe[Any]) -> Prepared:
    """Read every file of a recipe and divide the rows."""
    detector = load_detector(recipe.detector)
    schema = detector.schema(recipe.data.sample)
    dataset = _read(recipe, schema, recipe.data.train)
    official = _read(recipe, schema, recipe.data.test) if recipe.data.test else None
    unlabelled = (
        _read(recipe, schema, recipe.data.unlabelled, labelled=False) if recipe.data.unlabelled else None
    )
    folds = tuple(split(dataset, recipe.split, official))
    return Prepared(detector, recipe, schema, dataset, official, unlabelled, folds)


def _read(recipe: Recipe[Any], schema: Schema, files: Sequence[str], *, labelled: bool = True) -> Dataset:
    return read(files, schema, reading_of(recipe.data, recipe.split, labelled=labelled))


def categories_of(dataset: Dataset) -> tuple[str, ...]:
    """Return the kinds of positives with enough rows to be learned, most frequent first."""
    names, counts = np.unique(
        dataset.category[(dataset.label == 1) & (dataset.category != "")], return_counts=True
    )
    order = sorted(zip(-counts, names, strict=True))
    return tuple(str(name) for count, name in order if -count >= RARE)


def encode_part(dataset: Dataset, encoder: Encoder, categories: Sequence[str]) -> Part:
    """Encode rows with a fitted encoder; the categories are the kinds of positives that are learned."""
    facets = {"source": dataset.source, **dataset.facets}
    arrays, row = encoder.encode(dataset.columns), np.arange(len(dataset))
    return Part(dataset.columns, arrays, dataset.truth, tuple(categories), facets, row)
