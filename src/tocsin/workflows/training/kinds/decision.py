"""The kind `decision`: verdicts at a threshold, judged beside the baselines on the same test rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.audit.findings import AuditReport
from tocsin.core.durable import write_json
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.recipe import Recipe
from tocsin.data.splits import Fold
from tocsin.data.texts import text_columns
from tocsin.metrics.comparison import Truth, compare_models, conclude
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.metrics.recommendation import recommend_simpler
from tocsin.metrics.thresholds import check_negatives
from tocsin.workflows.judging.answers import sealed_report
from tocsin.workflows.pages.report import write_report
from tocsin.workflows.training.kinds import ARTIFACT, Proof, RunResult, Tell
from tocsin.workflows.training.ladder import check_ladder, fit_ladder, score_all
from tocsin.workflows.training.members import Job, Member, export_member
from tocsin.workflows.training.package import Shown, package
from tocsin.workflows.training.prepare import Prepared
from tocsin.workflows.training.provenance import make_origin, make_provenance
from tocsin.workflows.training.seeds import SeedRun, write_scores, write_seed_summary
from tocsin.workflows.training.shipping import Ladder, choose_shipped
from tocsin.workflows.training.trackers import log_results
from tocsin.workflows.training.trials import Fitted


def check(prepared: Prepared, fold: Fold) -> None:
    """Refuse rows on which no threshold could be shown to hold."""
    section, valid = prepared.recipe.evaluation, prepared.dataset.take(fold.valid)
    check_negatives(
        prepared.group(fold, "valid")[valid.label == 0], section.max_false_positive_rate, section.confidence
    )
    column = section.thresholds_per
    texts = text_columns(valid.columns)
    if column is not None and column not in texts:
        raise InputError(
            f"evaluation.thresholds_per: {column!r} is no text field of a sample{did_you_mean(column, texts)}"
            f" (there are: {', '.join(texts)}): a request must carry what its threshold goes by"
        )


def prove(fitted: Fitted, findings: AuditReport, key: Path | None, tell: Tell) -> RunResult:
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
    shown = Shown(evaluation, audit, make_provenance(fold, job), prepared.test(fold))
    artifact = package(members[job.name], prepared, shown, job.folder / ARTIFACT, key)
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


def summarise_seeds(folder: Path, recipe: Recipe[Any], runs: Sequence[RunResult]) -> None:
    """Write the summary over seeds."""
    write_seed_summary(folder, recipe, [SeedRun(r.folder, r.fold, r.seed, r.evaluation) for r in runs])


def say(evaluation: EvaluationReport) -> list[str]:
    """Return which model is better, and which simpler one is as good."""
    return [*conclude(evaluation), *recommend_simpler(evaluation)]


PROOF = Proof(
    check=check,
    check_parts=check_ladder,
    prove=prove,
    reopen=sealed_report,
    sentences=say,
    over_seeds=summarise_seeds,
    columns={"ROC-AUC": "roc_auc", "recall": "recall", "false positives": "false_positive_rate"},
    metrics=(
        "roc_auc",
        "pr_auc",
        "f1",
        "f1_macro",
        "f1_macro_even",
        "recall",
        "false_positive_rate",
        "recall_at_fpr_0.01",
    ),
)
