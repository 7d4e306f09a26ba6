"""Compare two sealed models on the same labelled rows, each at its own sealed threshold."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from tocsin.core.errors import InputError
from tocsin.core.provenance import Scoring
from tocsin.data.dataset import Dataset
from tocsin.data.likeness import dependent_rows
from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.classification import Judged
from tocsin.metrics.comparison import CATEGORY
from tocsin.metrics.evaluation import Estimate
from tocsin.metrics.pairs import Interest, Pair, compare_pair
from tocsin.metrics.significance import Outcome
from tocsin.serve.predictor import Predictor
from tocsin.workflows.judging.answers import Answers, ask, read_rows, scoring_of, sealed_recipe, unseen_ids
from tocsin.workflows.judging.sentences import WORDS, say_pair
from tocsin.workflows.using.stores import Source

NAMES = ("A", "B")
EVERY_ROW = (
    "Every row was compared, those that a model was trained on too: on such rows it looks better than it is."
)


@dataclass(frozen=True)
class CompareOptions:
    """How to compare."""

    layout: str = "auto"
    smallest: float = 0.01
    """Smallest difference in ROC-AUC, recall and F1 that is of interest."""
    resamples: int = 1000
    seed: int = 42
    every_row: bool = False
    """Also the rows that a model was trained on."""


class Comparison(BaseModel):
    """`compare.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    verdict: Outcome
    sentences: tuple[str, ...]
    a: Scoring
    b: Scoring
    thresholds: tuple[float, float]
    seed: int
    pair: Pair

    @property
    def metric_rows(self) -> list[tuple[Any, ...]]:
        """Return (metric, A, B, difference with its interval, adjusted p, verdict) for a table."""
        return [
            (WORDS[c.metric], c.first, c.second, _shown(c.difference), c.p_holm, c.verdict)
            for c in self.pair.metrics
        ]


def _shown(difference: Estimate) -> str:
    if difference.value is None or difference.low is None or difference.high is None:
        return "not defined"
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def compare_artifacts(
    first: Source, second: Source, data: Sequence[str], options: CompareOptions
) -> Comparison:
    """Score the rows with both and compare; InputError where the two cannot answer the same rows."""
    sources = (first, second)
    predictors = (first.predictor(), second.predictor())
    _check_kind(predictors)
    rows, notes = _shared_rows(predictors, data, options)
    with ThreadPoolExecutor(len(NAMES)) as pool:  # the runtime lets go of the lock: a core for each
        answers = tuple(pool.map(ask, predictors, rows))
    judged = tuple(map(_judge, predictors, rows, answers))
    truth, recipe = rows[0], sealed_recipe(predictors[0].artifact)
    split = sealed_recipe(_grouping(predictors).artifact).split
    how = Resampling(options.resamples, options.seed, group=dependent_rows(truth, split))
    interest = Interest(options.smallest, recipe.evaluation.max_false_positive_rate)
    pair = compare_pair(judged[0], judged[1], _slices(truth), how, interest)
    scorings = [
        scoring_of(source.name, predictor.artifact, dataset)
        for source, predictor, dataset in zip(sources, predictors, rows, strict=True)
    ]
    return Comparison(
        verdict=pair.verdict,
        sentences=(*say_pair(pair), *notes),
        a=scorings[0],
        b=scorings[1],
        thresholds=(judged[0].threshold, judged[1].threshold),
        seed=options.seed,
        pair=pair,
    )


def _check_kind(predictors: tuple[Predictor, Predictor]) -> None:
    kinds = [predictor.artifact.manifest.detector for predictor in predictors]
    if kinds[0] != kinds[1]:
        raise InputError(f"a model of {kinds[0]!r} and one of {kinds[1]!r} answer different questions")
    digests = {predictor.artifact.digest for predictor in predictors}
    if len(digests) == 1:
        raise InputError("both names are one artifact: there is nothing to compare")


def _judge(predictor: Predictor, rows: Dataset, answers: Answers) -> Judged:
    return answers.judge(rows.label, predictor.artifact.manifest.calibrated.threshold)


def _slices(rows: Dataset) -> dict[str, np.ndarray]:
    kinds = np.array([c or None for c in rows.category], dtype=object)
    return rows.slices() | ({CATEGORY: kinds} if any(kinds) else {})


def _shared_rows(
    predictors: tuple[Predictor, Predictor], data: Sequence[str], options: CompareOptions
) -> tuple[tuple[Dataset, Dataset], list[str]]:
    """Return the rows that both can read and neither was trained on, as far as is known, and notes on that."""
    grouping = _grouping(predictors)
    read_as = {p.schema.name: read_rows(p, data, options.layout) for p in (*predictors, grouping)}
    rows = [read_as[predictor.schema.name] for predictor in predictors]
    kept = set(rows[0].ids) & set(rows[1].ids)
    notes = [EVERY_ROW] if options.every_row else []
    for name, predictor, dataset in zip(NAMES, predictors, rows, strict=True):
        if not options.every_row:
            unseen, note = unseen_ids(predictor, dataset, data)
            kept &= unseen
            notes += [f"{name} {note}"] if note else []
    column = sealed_recipe(grouping.artifact).split.group
    if column is not None and read_as[grouping.schema.name].group is None:
        notes.append(f"The files have no column {column}: groups are not known, intervals may be too narrow.")
    first, second = (
        d.take(np.array([i for i, key in enumerate(d.ids) if key in kept], dtype=np.int64)) for d in rows
    )
    return _checked(first, second, data), notes


def _grouping(predictors: tuple[Predictor, Predictor]) -> Predictor:
    """Return the one whose recipe says which rows know of each other; the first where none does."""
    grouped = (p for p in predictors if sealed_recipe(p.artifact).split.group is not None)
    return next(grouped, predictors[0])


def _checked(first: Dataset, second: Dataset, data: Sequence[str]) -> tuple[Dataset, Dataset]:
    if not len(first):
        raise InputError(f"{', '.join(data)}: no row is left that both models can be compared on")
    if not np.array_equal(first.ids, second.ids) or not np.array_equal(first.label, second.label):
        raise InputError(f"{', '.join(data)}: the two models read different labels from these rows")
    return first, second
