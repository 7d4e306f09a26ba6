"""Score labelled rows with a sealed model at its sealed threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.core.errors import InputError
from tocsin.core.provenance import Scoring
from tocsin.data.likeness import dependent_rows
from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.comparison import Truth, slices_of
from tocsin.metrics.evaluation import BinaryEvaluation, evaluate_binary
from tocsin.workflows.judging.answers import ask, read_rows, scoring_of, sealed_recipe
from tocsin.workflows.using.stores import Source


@dataclass(frozen=True)
class EvaluateResult:
    """What the sealed model did on these rows."""

    artifact: str
    digest: str
    rows: int
    refused: int
    evaluation: BinaryEvaluation
    provenance: Scoring

    @property
    def metric_rows(self) -> list[tuple[Any, ...]]:
        """Return (metric, value, low, high) for a table."""
        return [(name, e.value, e.low, e.high) for name, e in self.evaluation.metrics.items()]

    @property
    def slice_rows(self) -> list[tuple[Any, ...]]:
        """Return (slice, value, rows, recall, false positives) for a table."""
        return [
            (s.by, s.name, s.rows, s.recall.value, s.false_positive_rate.value)
            for s in self.evaluation.slices
        ]


def evaluate_artifact(source: Source, data: Sequence[str], layout: str) -> EvaluateResult:
    """Evaluate on rows of any layout that can be read as the artifact's sample: another publisher's too."""
    predictor = source.predictor()
    manifest = predictor.artifact.manifest
    dataset = read_rows(predictor, data, layout)
    if not (dataset.label == 1).any() and not (dataset.label == 0).any():
        raise InputError(f"{', '.join(data)}: no labelled row to evaluate on")
    answers, calibration = ask(predictor, dataset), manifest.calibrated
    known = frozenset(calibration.categories) or None
    truth = Truth(dataset.label, dataset.label, dataset.slices(), dataset.category, known)
    evaluation = evaluate_binary(
        dataset.label,
        answers.probability,
        calibration.threshold,
        own=answers.threshold,
        slices=slices_of(truth),
        how=Resampling(group=dependent_rows(dataset, sealed_recipe(predictor.artifact).split)),
    )
    scoring = scoring_of(source.name, predictor.artifact, dataset)
    refused = len(dataset.refused)
    return EvaluateResult(source.name, predictor.artifact.digest, len(dataset), refused, evaluation, scoring)
