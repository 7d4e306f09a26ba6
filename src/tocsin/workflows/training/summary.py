"""An evaluation in a table's few columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tocsin.metrics.answers import AnswerReport
from tocsin.metrics.evaluation import Estimate, EvaluationReport

Scored = EvaluationReport | AnswerReport
"""The evaluation of a kind: models by name, each with its metrics."""


def summarise(fold: str, seed: int, evaluation: Scored, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of every model of one run and what made them, to be written beside the other runs'."""
    models = {
        name: {metric: model.metrics[metric].model_dump() for metric in metrics if metric in model.metrics}
        for name, model in evaluation.models.items()
    }
    origin = {"provenance": evaluation.provenance.model_dump()}
    return {"fold": fold, "seed": seed, "primary": evaluation.primary, "models": models} | origin


def average_folds(evaluations: Sequence[Scored], metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return model -> metric -> mean over runs: of models that every run has, and where it is defined in all."""
    common = set.intersection(*(set(e.models) for e in evaluations)) if evaluations else set()
    found: dict[str, dict[str, float]] = {}
    for name in sorted(common):
        values = {m: [e.models[name].metrics[m].value for e in evaluations] for m in metrics}
        known = {m: [v for v in seen if v is not None] for m, seen in values.items()}
        found[name] = {m: sum(v) / len(v) for m, v in known.items() if len(v) == len(evaluations)}
    return found


def model_rows(evaluation: Scored, metrics: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield (model, metric with its interval, ...), the primary model first."""
    names = sorted(
        evaluation.models, key=lambda name: name != evaluation.primary
    )  # a sealed one is in no order
    for name in names:
        yield name, *_cells(evaluation.models[name].metrics, metrics)


def fold_rows(runs: Sequence[tuple[str, int, Scored]], metrics: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield (fold, seed, model, metrics ...) of the primary model and of the best other one by the first metric."""
    for fold, seed, evaluation in runs:
        measured = {name: model.metrics for name, model in evaluation.models.items()}
        others = {name: found for name, found in measured.items() if name != evaluation.primary}
        best = max(others, key=lambda name: others[name][metrics[0]].value or 0.0, default=None)
        for name in (evaluation.primary, best):
            if name is not None:
                yield fold, str(seed), name, *_cells(measured[name], metrics)


def _cells(found: Mapping[str, Estimate], metrics: Sequence[str]) -> Iterator[str]:
    return (show(found.get(metric)) for metric in metrics)


def show(estimate: Estimate | None) -> str:
    """Return `.968 (.965–.971)`."""
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return _short(estimate.value)
    return f"{_short(estimate.value)} ({_short(estimate.low)}–{_short(estimate.high)})"


def _short(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")
