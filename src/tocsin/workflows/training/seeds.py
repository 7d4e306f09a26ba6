"""One recipe with several seeds: the mean, how far trainings lie apart, and what both say about the models.

Writes the files that the source systems named: `production_summary.json`, `production_report.md`,
`metrics_comparison.png`, `f1_by_seed.png`, `training_stability.csv`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tocsin.core.durable import replacing, write_bytes, write_json, write_text
from tocsin.core.recipe import EvaluationSection, Recipe
from tocsin.data.dataset import Dataset
from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.classification import Judged, judge
from tocsin.metrics.comparison import Scores, Truth
from tocsin.metrics.evaluation import EvaluationReport, estimate, units_of
from tocsin.metrics.operating import limits_of
from tocsin.metrics.seeds import OverSeeds, Summary, average, over_seeds, weigh
from tocsin.workflows.pages.figures import draw_by_seed, draw_seed_boxes, png
from tocsin.workflows.pages.report import page_environment, read_histories

SCORES = "test_scores.parquet"
METRICS = ("f1", "recall", "precision", "accuracy", "false_positive_rate", "roc_auc")
"""The four of the source systems first."""
BOXES = METRICS[:4]
WEIGHED = ("f1", "recall", "roc_auc")
PROBABILITY, LIMIT = "probability: ", "threshold: "
INTERVAL = (
    "95 % over other test rows (bootstrap of whole near-duplicate groups, BCa) and other seeds (Student t), put"
    " together as independent errors; several folds count as if they shared their test rows"
)


@dataclass(frozen=True)
class SeedRun:
    """One fold and seed of a recipe."""

    folder: Path
    fold: str
    seed: int
    evaluation: EvaluationReport


def write_scores(
    folder: Path, test: Dataset, truth: Truth, scores: Mapping[str, Scores], report: EvaluationReport
) -> None:
    """Write every model's answer to every test row beside the run, so that seeds can be compared row by row."""
    values = None if truth.own_by is None else truth.own_by[1]
    columns: dict[str, Any] = {"id": test.ids.tolist(), "label": truth.test, "group": truth.group}
    for name, found in scores.items():
        columns[PROBABILITY + name] = found.test
        limits = limits_of(report.models[name].operating_point, values)
        columns[LIMIT + name] = np.broadcast_to(limits, found.test.shape)
    with replacing(folder / SCORES) as file:
        pl.DataFrame(columns).write_parquet(file)


def write_seed_summary(folder: Path, recipe: Recipe[Any], runs: Sequence[SeedRun]) -> dict[str, Any]:
    """Write the five files into the recipe's folder; returns the content of production_summary.json."""
    found = _summarise(recipe, runs)
    content = _content(recipe.evaluation, runs, found)
    write_json(folder / "production_summary.json", content)
    by_seed = {
        name: {m: dict(zip(content["seeds"], v.by_seed, strict=True)) for m, v in values.items()}
        for name, values in found.models.items()
    }
    write_bytes(folder / "metrics_comparison.png", png(draw_seed_boxes(by_seed, BOXES)))
    write_bytes(folder / "f1_by_seed.png", png(draw_by_seed(by_seed, "f1")))
    page = page_environment().get_template("production.md.j2").render(summary=content, metrics=METRICS)
    write_text(folder / "production_report.md", page)
    with replacing(folder / "training_stability.csv") as file:
        pl.DataFrame([line for run in runs for line in _stability(run)], infer_schema_length=None).write_csv(
            file
        )
    return content


def _summarise(recipe: Recipe[Any], runs: Sequence[SeedRun]) -> Summary:
    """Return every model over the seeds, as the mean over the folds; without the scores, without intervals."""
    folds = list(dict.fromkeys(run.fold for run in runs))
    parts = [_fold_summary(recipe, [run for run in runs if run.fold == fold]) for fold in folds]
    models = [name for name in parts[0].models if all(name in part.models for part in parts)]
    return Summary(
        {n: {m: average([p.models[n][m] for p in parts]) for m in METRICS} for n in models},
        {n: {m: average([p.against[n][m] for p in parts]) for m in METRICS} for n in models[1:]},
    )


def _fold_summary(recipe: Recipe[Any], runs: Sequence[SeedRun]) -> Summary:
    primary = runs[0].evaluation.primary
    names = [n for n in runs[0].evaluation.models if all(n in run.evaluation.models for run in runs)]
    names.sort(key=lambda n: n != primary)
    tables = [_read_scores(run.folder / SCORES) for run in runs]
    if any(table is None or not table["id"].equals(tables[0]["id"]) for table in tables):  # type: ignore[index]
        return _without_rows(names, runs)
    first = tables[0]
    assert first is not None
    judged = {name: [_judged(table, name) for table in tables if table is not None] for name in names}
    group = first["group"].to_numpy()
    how = Resampling(recipe.evaluation.resamples, recipe.split.seed, group=group)
    return over_seeds(judged, METRICS, how, units_of(first["label"].to_numpy(), group))


def _read_scores(path: Path) -> pl.DataFrame | None:
    return pl.read_parquet(path) if path.exists() else None


def _judged(table: pl.DataFrame, name: str) -> Judged:
    limits = table[LIMIT + name].to_numpy()
    return judge(table["label"].to_numpy(), table[PROBABILITY + name].to_numpy(), float(limits[0]), limits)


def _without_rows(names: Sequence[str], runs: Sequence[SeedRun]) -> Summary:
    """Return means and spreads alone: runs that were sealed by an older version left no scores."""

    def spread(name: str, other: str | None, metric: str) -> OverSeeds:
        values = [_value(run, name, metric) - (_value(run, other, metric) if other else 0.0) for run in runs]
        return OverSeeds(tuple(values), (float("nan"), float("nan")), float("nan"))

    alone = {name: {m: spread(name, None, m) for m in METRICS} for name in names}
    against = {name: {m: spread(names[0], name, m) for m in METRICS} for name in names[1:]}
    return Summary(alone, against)


def _value(run: SeedRun, name: str, metric: str) -> float:
    value = run.evaluation.models[name].metrics[metric].value
    return float("nan") if value is None else value


def _content(section: EvaluationSection, runs: Sequence[SeedRun], found: Summary) -> dict[str, Any]:
    seeds = list(dict.fromkeys(run.seed for run in runs))
    first = runs[0].evaluation
    models = {name: _model(seeds, values) for name, values in found.models.items()}
    for name, model in models.items():
        model["kind"] = first.models[name].kind
    best = max(models, key=lambda n: float(np.nan_to_num(models[n]["mean_f1"], nan=-1.0)))
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": models,
        "best_overall_model": best,
        "best_overall_f1": models[best]["mean_f1"],
        "primary": first.primary,
        "seeds": seeds,
        "comparisons": [
            _comparison(first.primary, other, metric, values[metric], section.smallest_difference)
            for other, values in found.against.items()
            for metric in WEIGHED
        ],
        "interval": INTERVAL,
        "resamples": section.resamples,
        "runs": [{"fold": run.fold} | run.evaluation.provenance.model_dump() for run in runs],
    }


def _model(seeds: Sequence[int], values: Mapping[str, OverSeeds]) -> dict[str, Any]:
    f1 = values["f1"].by_seed
    best = int(np.nanargmax(f1)) if np.isfinite(f1).any() else 0
    return {
        "mean_f1": values["f1"].mean,
        "std_f1": values["f1"].std,
        "seeds": list(seeds),
        "best_seed": seeds[best],
        "best_f1": f1[best],
        "metrics": {metric: _spread(seeds, found) for metric, found in values.items()},
    }


def _spread(seeds: Sequence[int], found: OverSeeds) -> dict[str, Any]:
    low, high = found.interval()
    by_seed = {str(seed): value for seed, value in zip(seeds, found.by_seed, strict=True)}
    return {"mean": found.mean, "std": found.std, "low": low, "high": high, "by_seed": by_seed}


def _comparison(primary: str, other: str, metric: str, found: OverSeeds, smallest: float) -> dict[str, Any]:
    low, high = found.interval()
    return {
        "model": primary,
        "other": other,
        "metric": metric,
        "difference": estimate(found.mean, (low, high)),
        "minimum_detectable": found.minimum_detectable(),
        "smallest": smallest,
        "verdict": weigh(metric, found, smallest),
    }


def _stability(run: SeedRun) -> list[dict[str, Any]]:
    """Return a line per model and stage: how the value that the best weights follow went."""
    made = run.evaluation.provenance
    lines = []
    for name, table in read_histories(run.folder).items():
        model, _, stage = name.rpartition("/")
        value = table["value"].to_numpy()
        if not len(value):
            continue
        best = int(np.nanargmax(value)) if np.isfinite(value).any() else 0
        late = np.diff(value[len(value) // 2 :])
        lines.append(
            {"run": made.run, "fold": run.fold, "seed": run.seed, "model": model, "stage": stage}
            | {"evaluations": len(value), "best_step": int(table["step"][best]), "best_value": value[best]}
            | {"last_value": value[-1], "fall_from_best": value[best] - value[-1]}
            | {"wobble": float(np.std(late)) if len(late) > 1 else None}
            | {"last_train_loss": table["train_loss"][-1], "last_val_loss": table["val_loss"][-1]}
            | {"recipe_sha256": made.recipe_sha256, "data_fingerprint": made.data_fingerprint}
            | {"git_commit": made.git_commit, "git_dirty": made.git_dirty}
        )
    return lines
