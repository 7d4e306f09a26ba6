"""Prove a fitted fold: export, fit the baselines, score the test rows once, report, and seal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tocsin.audit.findings import AuditReport
from tocsin.core.durable import write_json
from tocsin.metrics.comparison import Truth, compare_models
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.workflows.pages.report import write_report
from tocsin.workflows.training.ladder import fit_ladder, score_all
from tocsin.workflows.training.members import Job, Member, export_member
from tocsin.workflows.training.package import Proof, package
from tocsin.workflows.training.provenance import make_origin, make_provenance
from tocsin.workflows.training.seeds import write_scores
from tocsin.workflows.training.shipping import Ladder, choose_shipped
from tocsin.workflows.training.trackers import log_results
from tocsin.workflows.training.trials import Fitted

ARTIFACT, REPORT = "artifact", "report.html"
Tell = Callable[[str], None]


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


def prove_fold(fitted: Fitted, findings: AuditReport, key: Path | None, tell: Tell) -> RunResult:
    """Judge the models of a fold beside the baselines on the test rows, and seal what is shipped."""
    prepared, fold, job = fitted.prepared, fitted.fold, fitted.job
    members = {name: export_member(trained, tell) for name, trained in fitted.models.items()}
    ladder = fit_ladder(members[job.name], tell)
    shipped = choose_shipped(members[job.name], ladder, tell)
    members, job = {**members, shipped.job.name: shipped}, replace(job, name=shipped.job.name)
    evaluation = judge_members(fitted, members, job, ladder)
    write_json(job.folder / "evaluation.json", evaluation)
    audit = findings.model_dump(mode="json")
    report = write_report(job.folder, evaluation.model_dump(mode="json"), audit)
    proof = Proof(evaluation, audit, make_provenance(fold, job), prepared.test(fold))
    artifact = package(members[job.name], prepared, proof, job.folder / ARTIFACT, key)
    metrics = evaluation.models[evaluation.primary].metrics
    known = {f"final/test_{name}": e.value for name, e in metrics.items() if e.value is not None}
    log_results(job.tracking, known, [job.folder / "evaluation.json", report])
    return RunResult(
        job.folder, fold.name, job.seed, report, job.folder / ARTIFACT, artifact.digest, evaluation
    )


def judge_members(fitted: Fitted, members: dict[str, Member], job: Job, ladder: Ladder) -> EvaluationReport:
    """Put members and baselines side by side on the test rows, each at its own threshold from validation."""
    prepared, fold = fitted.prepared, fitted.fold
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
        group=prepared.group(fold, "test"),
        valid_group=prepared.group(fold, "valid"),
        own_by=None if column is None else (first.parts.valid.columns[column], test.columns[column]),
        split=fold.facts,
    )
    report = compare_models(truth, scores, job.recipe.evaluation, job.name, make_origin(fold, job))
    write_scores(job.folder, test, truth, scores, report)
    return report
