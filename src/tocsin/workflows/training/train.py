"""Train a recipe: every fold and seed, the model, its variants and the baselines on the same rows, then seal."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.artifact.open import open_artifact
from tocsin.core.durable import write_json, write_text
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.recipe import Recipe
from tocsin.core.recipes import dump_recipe, with_overrides
from tocsin.data.likeness import dependent_rows
from tocsin.data.sources import write_quarantine
from tocsin.data.splits import Fold
from tocsin.data.texts import text_columns
from tocsin.metrics.comparison import Truth, compare_models
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.metrics.thresholds import check_negatives
from tocsin.workflows.judging.answers import sealed_report
from tocsin.workflows.pages.report import write_report
from tocsin.workflows.training.audit import audit_fold
from tocsin.workflows.training.ladder import check_ladder, fit_ladder, score_all
from tocsin.workflows.training.members import Job, Member, Parts, encode_parts, fit_member
from tocsin.workflows.training.package import Proof, package
from tocsin.workflows.training.prepare import Prepared, prepare, resolve_recipe
from tocsin.workflows.training.provenance import make_origin, make_provenance
from tocsin.workflows.training.seeds import SeedRun, write_scores, write_seed_summary
from tocsin.workflows.training.shipping import Ladder, choose_shipped
from tocsin.workflows.training.summary import average_folds, summarise
from tocsin.workflows.training.trackers import log_results, tracked

Tell = Callable[[str], None]
ARTIFACT = "artifact"


@dataclass(frozen=True)
class TrainOptions:
    """How to run, apart from what the recipe says."""

    resume: bool = False
    force: bool = False
    variants: bool = True
    key: Path | None = None
    """Private key to sign the artifact with."""


@dataclass(frozen=True)
class RunResult:
    """One fold and seed."""

    folder: Path
    fold: str
    seed: int
    report: Path
    artifact: Path
    digest: str
    evaluation: EvaluationReport


@dataclass(frozen=True)
class TrainResult:
    """All runs of a recipe."""

    folder: Path
    runs: tuple[RunResult, ...]


def train_recipe(
    written: Path | Mapping[str, Any], sets: Sequence[str], options: TrainOptions, tell: Tell
) -> TrainResult:
    """Train a recipe, a file or what one holds.

    InputError before anything is written when its folder holds another run.
    """
    resolved = resolve_recipe(written, sets)
    recipe = resolved.recipe
    folder = recipe.output / recipe.name
    _check_folder(folder, recipe, options)
    tell(f"reading {', '.join(recipe.data.train)}")
    prepared = prepare(recipe)
    if options.force and folder.exists():
        shutil.rmtree(folder)
    write_text(folder / "recipe.yaml", dump_recipe(recipe))
    write_json(folder / "recipe_sources.json", resolved.sources)
    if prepared.dataset.refused:
        write_quarantine(prepared.dataset, folder / "refused_rows.jsonl")
        tell(f"{len(prepared.dataset.refused):,} bad rows refused -> {folder / 'refused_rows.jsonl'}")
    runs = tuple(
        train_run(prepared, fold, seed, options, tell) for fold in prepared.folds for seed in recipe.seeds
    )
    lines = [summarise(run.fold, run.seed, run.evaluation) for run in runs]
    write_json(
        folder / "summary.json", {"runs": lines, "average": average_folds([run.evaluation for run in runs])}
    )
    if len(recipe.seeds) > 1:
        write_seed_summary(folder, recipe, [SeedRun(r.folder, r.fold, r.seed, r.evaluation) for r in runs])
    return TrainResult(folder, runs)


def _check_folder(folder: Path, recipe: Recipe[Any], options: TrainOptions) -> None:
    kept = folder / "recipe.yaml"
    if options.force or not kept.exists():
        return
    if not options.resume:
        raise InputError(
            f"{folder} holds a run already: go on with --resume, start over with --force, or --set name=..."
        )
    if kept.read_text(encoding="utf-8") != dump_recipe(recipe):
        raise InputError(
            f"--resume: the recipe is not the one in {kept}; start over with --force or --set name=..."
        )


def train_run(prepared: Prepared, fold: Fold, seed: int, options: TrainOptions, tell: Tell) -> RunResult:
    """Run one fold with one seed; a run that was sealed before is returned as it is."""
    recipe = prepared.recipe
    folder = recipe.output / recipe.name
    folder = (folder / fold.name if len(prepared.folds) > 1 else folder) / f"seed_{seed}"
    if (folder / ARTIFACT).exists():
        tell(f"{folder}: sealed already")
        return _finished(folder, fold, seed)
    tell(
        f"{folder}: {len(fold.train):,} rows to train, {len(fold.valid):,} to choose, {len(fold.test):,} to test"
    )
    _check_operation(prepared, fold)
    name = "-".join(filter(None, [fold.name if len(prepared.folds) > 1 else "", f"seed_{seed}"]))
    with tracked(recipe, name, {"fold": fold.name, "data_fingerprint": fold.fingerprint}) as tracking:
        job = Job(recipe.evaluation.model, recipe, folder, seed, options.resume, fold.fingerprint, tracking)
        return _run(prepared, fold, job, options, tell)


def _check_operation(prepared: Prepared, fold: Fold) -> None:
    """Refuse before training what could not be judged after it."""
    section, valid = prepared.recipe.evaluation, prepared.dataset.take(fold.valid)
    group = dependent_rows(valid, prepared.recipe.split)
    check_negatives(group[valid.label == 0], section.max_false_positive_rate, section.confidence)
    column = section.thresholds_per
    texts = text_columns(valid.columns)
    if column is not None and column not in texts:
        raise InputError(
            f"evaluation.thresholds_per: {column!r} is no text field of a sample{did_you_mean(column, texts)}"
            f" (there are: {', '.join(texts)}): a request must carry what its threshold goes by"
        )


def _run(prepared: Prepared, fold: Fold, job: Job, options: TrainOptions, tell: Tell) -> RunResult:
    findings = audit_fold(prepared, fold)
    write_json(job.folder / "audit.json", findings)
    write_json(job.folder / "split.json", {"fingerprint": fold.fingerprint, "facts": fold.facts})
    parts = encode_parts(prepared, fold, job.recipe)
    check_ladder(job.recipe, parts)
    members = fit_members(prepared, fold, parts, job, options.variants, tell)
    ladder = fit_ladder(members[job.name], tell)
    shipped = choose_shipped(members[job.name], ladder, tell)
    members, job = {**members, shipped.job.name: shipped}, replace(job, name=shipped.job.name)
    evaluation = judge_members(prepared, fold, members, job, ladder)
    write_json(job.folder / "evaluation.json", evaluation)
    report = write_report(job.folder, evaluation.model_dump(mode="json"), findings.model_dump(mode="json"))
    proof = Proof(
        evaluation, findings.model_dump(mode="json"), make_provenance(fold, job), prepared.test(fold)
    )
    artifact = package(members[job.name], prepared, proof, job.folder / ARTIFACT, options.key)
    metrics = evaluation.models[evaluation.primary].metrics
    known = {f"final/test_{name}": e.value for name, e in metrics.items() if e.value is not None}
    log_results(job.tracking, known, [job.folder / "evaluation.json", report])
    return RunResult(
        job.folder, fold.name, job.seed, report, job.folder / ARTIFACT, artifact.digest, evaluation
    )


def fit_members(
    prepared: Prepared, fold: Fold, parts: Parts, job: Job, variants: bool, tell: Tell
) -> dict[str, Member]:
    """Fit the model and, if wanted, the recipe's variants; returns name -> member, the model first."""
    models = job.folder / "models"
    members = {job.name: fit_member(prepared, parts, replace(job, folder=models / job.name), tell)}
    for name, overrides in job.recipe.variants.items() if variants else ():
        recipe = with_overrides(job.recipe, overrides)
        own = parts if recipe.model == job.recipe.model else encode_parts(prepared, fold, recipe)
        members[name] = fit_member(
            prepared, own, replace(job, name=name, recipe=recipe, folder=models / name), tell
        )
    return members


def judge_members(
    prepared: Prepared, fold: Fold, members: dict[str, Member], job: Job, ladder: Ladder
) -> EvaluationReport:
    """Put members and baselines side by side on the test rows, each at its own threshold from validation."""
    first = members[job.name]
    scores = score_all(members, first, ladder)
    test = prepared.test(fold)
    train_kinds = frozenset(str(c) for c in np.unique(prepared.dataset.take(fold.train).category) if c)
    column = job.recipe.evaluation.thresholds_per
    truth = Truth(
        valid=first.parts.valid.label,
        test=first.parts.test.label,
        slices=test.slices(),
        category=test.category,
        known=train_kinds,
        group=dependent_rows(test, job.recipe.split),
        valid_group=dependent_rows(prepared.dataset.take(fold.valid), job.recipe.split),
        own_by=None if column is None else (first.parts.valid.columns[column], test.columns[column]),
        split=fold.facts,
    )
    report = compare_models(truth, scores, job.recipe.evaluation, job.name, make_origin(fold, job))
    write_scores(job.folder, test, truth, scores, report)
    return report


def _finished(folder: Path, fold: Fold, seed: int) -> RunResult:
    artifact = open_artifact(folder / ARTIFACT)
    evaluation = sealed_report(artifact)
    return RunResult(
        folder, fold.name, seed, folder / "report.html", folder / ARTIFACT, artifact.digest, evaluation
    )
