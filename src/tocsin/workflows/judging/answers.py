"""A sealed model's answers to labelled rows, what they depend on, and which rows it was tested on.

Shapes: N rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from tocsin.artifact.manifest import RECIPE
from tocsin.artifact.open import Artifact
from tocsin.audit.readiness.facts import Known
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.provenance import Origin, Scoring, git_state
from tocsin.core.recipe import Recipe
from tocsin.core.recipes import parse_recipe
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import content_fingerprint
from tocsin.data.sources import Reading, read, reading_of
from tocsin.data.splits import split
from tocsin.metrics.classification import Judged, judge
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.serve.predictor import Predictor

Parsed = TypeVar("Parsed", bound=BaseModel)


@dataclass(frozen=True)
class Answers:
    """What a sealed model says about rows."""

    probability: np.ndarray
    """[N] float64."""
    threshold: np.ndarray
    """[N] float64: where slices have thresholds of their own, each row's."""

    def judge(self, truth: np.ndarray, common: float) -> Judged:
        """Hold the answers against the truth [N] of 0 and 1; `common` is the artifact's main threshold."""
        return judge(truth, self.probability, common, self.threshold)


def ask(predictor: Predictor, dataset: Dataset) -> Answers:
    """Return the verdicts on all rows as arrays."""
    verdicts = [(v.probability, v.threshold) for v in predictor.predict_columns(dataset.columns)]
    table = np.array(verdicts, dtype=np.float64).reshape(-1, 2)
    return Answers(table[:, 0], table[:, 1])


def read_rows(predictor: Predictor, data: Sequence[str], layout: str) -> Dataset:
    """Read labelled rows as the model's sample, with the groups that its recipe names where the files have them."""
    group = sealed_recipe(predictor.artifact).split.group
    try:
        return read(data, predictor.schema, Reading(layout=layout, group=group))
    except InputError:
        if group is None:
            raise
        return read(data, predictor.schema, Reading(layout=layout))


def sealed_recipe(artifact: Artifact) -> Recipe[Any]:
    """Return the recipe that an artifact was trained by; InputError where it holds none."""
    if RECIPE not in artifact.files:
        raise InputError(f"{artifact.manifest.name}: the artifact holds no recipe")
    return parse_recipe(artifact.files[RECIPE].decode(), RECIPE)


def sealed_report(artifact: Artifact) -> EvaluationReport:
    """Return the evaluation that is sealed in an artifact; InputError where it holds none that can be read."""
    if "evaluation.json" not in artifact.files:
        raise InputError(f"{artifact.manifest.name}: the artifact holds no evaluation")
    return parse_sealed(artifact, "evaluation.json", EvaluationReport)


def parse_sealed(artifact: Artifact | Known, name: str, model: type[Parsed]) -> Parsed:
    """Read a sealed JSON file; InputError where another version of tocsin wrote it with other fields."""
    try:
        return model.model_validate_json(artifact.files[name])
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{artifact.manifest.name}: {name} was sealed by another version of tocsin (now:"
            f" {'.'.join(map(str, first['loc']))}: {first['msg']}): train again, or use that version"
        ) from None


def scoring_of(name: str, artifact: Artifact, dataset: Dataset) -> Scoring:
    """Return what made the numbers of an artifact on these rows."""
    commit, dirty = git_state()
    trained = artifact.manifest.provenance.model_dump(include=set(Origin.model_fields))
    return Scoring(
        artifact=name,
        digest=artifact.digest,
        trained=Origin(**trained),
        data_fingerprint=content_fingerprint(dataset),
        git_commit=commit,
        git_dirty=dirty,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@dataclass(frozen=True)
class TestRows:
    """The rows that an artifact's numbers were reported on."""

    dataset: Dataset
    found: str
    """How they were recognised, as a sentence."""


def find_test_rows(predictor: Predictor, data: Sequence[str]) -> TestRows:
    """Find the rows that an artifact was tested on: the files hold just them, or its split is cut again.

    CheckFailed, with both fingerprints, when neither gives the rows that are sealed.
    """
    artifact = predictor.artifact
    recipe, report = sealed_recipe(artifact), sealed_report(artifact)
    given = read(data, predictor.schema, reading_of(recipe.data, recipe.split))
    wanted = report.split.get("test_fingerprint")
    if content_fingerprint(given) == wanted:
        return TestRows(given, "the files hold the test rows and nothing else")
    rows = report.models[report.primary].rows
    refusal = (
        f"{', '.join(data)}: these are not the rows that the numbers were reported on: {len(given):,} rows of"
        f" fingerprint {content_fingerprint(given)[:12]}, and neither they nor the split of them give the {rows:,}"
        f" test rows of fingerprint {str(wanted)[:12]}"
    )
    try:
        candidates = _candidates(given, recipe, report)
    except InputError as error:
        raise CheckFailed(f"{refusal}; the sealed recipe's split cannot be cut from them: {error}") from None
    for test, name in candidates:
        if content_fingerprint(test) == wanted or name == report.provenance.data_fingerprint:
            return TestRows(test, "the sealed recipe's split, cut again from the files")
    raise CheckFailed(refusal)


def unseen_ids(predictor: Predictor, rows: Dataset, data: Sequence[str]) -> tuple[set[str], str]:
    """Return the ids of the rows that a model was not trained on, as far as is known, and a note; mostly empty."""
    trained = set(predictor.artifact.manifest.data.get("sources", ()))
    if not trained & {str(name) for name in rows.source}:
        return set(rows.ids), ""
    try:
        tested = set(find_test_rows(predictor, data).dataset.ids)
    except (CheckFailed, InputError) as error:  # other rows, or not the columns that the split goes by
        return set(rows.ids), (
            "was trained on a file of the same name, and its split cannot be cut again from these files: if it has"
            f" seen some of these rows, it looks better than it is. The reason: {error}."
        )
    return tested & set(rows.ids), "was trained on rows of these files: only its test rows are used."


def _candidates(given: Dataset, recipe: Recipe[Any], report: EvaluationReport) -> list[tuple[Dataset, str]]:
    """Return (rows, fingerprint of the division) of every way in which the recipe may have tested on these files.

    InputError where the recipe's split cannot be cut from these rows.
    """
    held = report.split.get("held_out")
    if recipe.data.test:
        kept = (given.label != 1) | np.isin(given.category, held or [])
        return [(given.take(np.flatnonzero(kept)), "")] if held else []
    return [(given.take(fold.test), fold.fingerprint) for fold in split(given, recipe.split)]
