"""Train a recipe: every fold and seed, the model, its variants and the baselines on the same rows, then seal."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from tocsin.artifact.open import open_artifact
from tocsin.core.durable import write_json, write_text
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector
from tocsin.core.recipes import Resolved, dump_recipe
from tocsin.data.sources import write_quarantine
from tocsin.data.splits import Fold
from tocsin.engine.crew import Crew
from tocsin.engine.launch import launch
from tocsin.workflows.training.audit import audit_fold
from tocsin.workflows.training.kinds import ARTIFACT, REPORT, Proof, RunResult, proof_of
from tocsin.workflows.training.members import Job
from tocsin.workflows.training.prepare import Prepared, prepare, resolve_recipe
from tocsin.workflows.training.summary import average_folds, summarise
from tocsin.workflows.training.trackers import Tracking, tracked
from tocsin.workflows.training.trials import fit_planned, plan_fold

Tell = Callable[[str], None]


@dataclass(frozen=True)
class TrainOptions:
    """How to run, apart from what the recipe says."""

    resume: bool = False
    force: bool = False
    variants: bool = True
    key: Path | None = None
    """Private key to sign the artifact with."""


@dataclass(frozen=True)
class TrainResult:
    """All runs of a recipe."""

    folder: Path
    runs: tuple[RunResult, ...]
    detector: str

    @property
    def proof(self) -> Proof:
        """What the detector's kind had to prove, and how it is told."""
        return proof_of(load_detector(self.detector))


@dataclass(frozen=True)
class Training:
    """What the runs of a recipe share."""

    prepared: Prepared
    options: TrainOptions
    crew: Crew
    tell: Tell
    begin: Callable[[], None]
    """Writes the first files of the recipe's folder; called when nothing can be refused any more."""
    proof: Proof


def train_recipe(
    written: Path | Mapping[str, Any], sets: Sequence[str], options: TrainOptions, tell: Tell
) -> TrainResult:
    """Train a recipe, a file or what one holds.

    What is refused before the first fit leaves the recipe's folder as it was.

    With `compute.devices` above 1 it starts as many processes, or joins those that torchrun, SLURM or Ray Train
    started. One of them leads and does all but the fits; all return its result.
    """
    count = partial(_count_devices, written, sets)
    return launch(partial(_train, written, sets, options), count, tell)


def _count_devices(written: Path | Mapping[str, Any], sets: Sequence[str]) -> int:
    return resolve_recipe(written, sets).recipe.compute.devices


def _train(
    written: Path | Mapping[str, Any], sets: Sequence[str], options: TrainOptions, crew: Crew, tell: Tell
) -> TrainResult:
    """Do all that the leader does."""
    resolved = resolve_recipe(written, sets)
    recipe = resolved.recipe
    crew.check(recipe.compute.devices)
    folder = recipe.output / recipe.name
    _check_folder(folder, resolved, options)
    tell(f"reading {', '.join(recipe.data.train)}")
    prepared = prepare(recipe)
    proof = proof_of(prepared.detector)
    for fold in prepared.folds:
        proof.check(prepared, fold)
    begin = cache(partial(_begin, folder, resolved, prepared, options, tell))
    training = Training(prepared, options, crew, tell, begin, proof)
    runs = tuple(train_run(training, fold, seed) for fold in prepared.folds for seed in recipe.seeds)
    lines = [summarise(run.fold, run.seed, run.evaluation, proof.metrics) for run in runs]
    average = average_folds([run.evaluation for run in runs], proof.metrics)
    write_json(folder / "summary.json", {"runs": lines, "average": average})
    if len(recipe.seeds) > 1:
        proof.over_seeds(folder, recipe, runs)
    return TrainResult(folder, runs, recipe.detector)


def _check_folder(folder: Path, resolved: Resolved, options: TrainOptions) -> None:
    kept = folder / "recipe.yaml"
    if options.force or not kept.exists():
        return
    if not options.resume:
        raise InputError(
            f"{folder} holds a run already: go on with --resume, start over with --force, or --set name=..."
        )
    if kept.read_text(encoding="utf-8") != dump_recipe(resolved.recipe):
        raise InputError(
            f"--resume: the recipe is not the one in {kept}; start over with --force or --set name=..."
        )


def _begin(folder: Path, resolved: Resolved, prepared: Prepared, options: TrainOptions, tell: Tell) -> None:
    if options.force and folder.exists():
        shutil.rmtree(folder)
    write_text(folder / "recipe.yaml", dump_recipe(resolved.recipe))
    write_json(folder / "recipe_sources.json", resolved.sources)
    if prepared.dataset.refused:
        write_quarantine(prepared.dataset, folder / "refused_rows.jsonl")
        tell(f"{len(prepared.dataset.refused):,} bad rows refused -> {folder / 'refused_rows.jsonl'}")


def train_run(training: Training, fold: Fold, seed: int) -> RunResult:
    """Run one fold with one seed; a run that was sealed before is returned as it is."""
    prepared, options, tell = training.prepared, training.options, training.tell
    recipe, several = prepared.recipe, len(prepared.folds) > 1
    whole = recipe.output / recipe.name
    folder = (whole / fold.name if several else whole) / f"seed_{seed}"
    if not options.force and (folder / ARTIFACT).exists():
        tell(f"{folder}: sealed already")
        return _finished(training.proof, folder, fold, seed)
    tell(
        f"{folder}: {len(fold.train):,} rows to train, {len(fold.valid):,} to choose, {len(fold.test):,} to test"
    )
    model, fingerprint = recipe.evaluation.model, fold.fingerprint
    job = Job(model, recipe, folder, seed, options.resume, fingerprint, Tracking(), training.crew)
    planned = plan_fold(prepared, fold, job, tell)
    training.begin()
    findings = audit_fold(prepared, fold)
    write_json(folder / "audit.json", findings)
    write_json(folder / "split.json", {"fingerprint": fingerprint, "facts": fold.facts})
    name = "-".join(filter(None, [fold.name if several else "", f"seed_{seed}"]))
    with tracked(recipe, name, {"fold": fold.name, "data_fingerprint": fingerprint}) as tracking:
        job = replace(job, tracking=tracking)
        fitted = fit_planned(planned, job, tell, variants=options.variants)
        return training.proof.prove(fitted, findings, options.key, tell)


def _finished(proof: Proof, folder: Path, fold: Fold, seed: int) -> RunResult:
    artifact = open_artifact(folder / ARTIFACT)
    evaluation = proof.reopen(artifact)
    return RunResult(folder, fold.name, seed, folder / REPORT, folder / ARTIFACT, artifact.digest, evaluation)
