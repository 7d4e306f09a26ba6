"""Audit the rows of a recipe, before any training."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tocsin.audit.description import describe_rows
from tocsin.audit.findings import AuditReport
from tocsin.audit.sides import Stated
from tocsin.audit.tables import audit
from tocsin.core.durable import write_json
from tocsin.core.provenance import Origin, git_state
from tocsin.core.recipes import recipe_sha256
from tocsin.data.splits import Fold
from tocsin.workflows.pages.audit_page import write_audit_page
from tocsin.workflows.training.prepare import Prepared, prepare, resolve_recipe


def audit_recipe(
    written: Path | Mapping[str, Any], sets: Sequence[str], tell: Callable[[str], None]
) -> AuditReport:
    """Read and split the rows, run every check on the first fold, and write what was found.

    `audit.json`, `audit.html` and `stats_report.json` go into the recipe's folder.
    """
    recipe = resolve_recipe(written, sets).recipe
    tell(f"reading {', '.join(recipe.data.train)}")
    prepared = prepare(recipe)
    tell("checking values, duplicates, shortcuts, labels and shift")
    report = audit_fold(prepared, prepared.folds[0])
    folder = recipe.output / recipe.name
    write_json(folder / "audit.json", report)
    write_json(folder / "stats_report.json", describe_rows(prepared.dataset, recipe.split.text))
    page = write_audit_page(folder, report, recipe.name)
    tell(f"wrote {page}, audit.json and stats_report.json")
    return report


def audit_fold(prepared: Prepared, fold: Fold) -> AuditReport:
    """Run every check on one fold; several seeds of a fold share what was found."""
    if fold.fingerprint not in prepared.audits:
        recipe = prepared.recipe
        stated = Stated(
            split=recipe.split,
            sources=recipe.data.sources,
            prior=recipe.evaluation.prior,
            max_false_positive_rate=recipe.evaluation.max_false_positive_rate,
            threads=recipe.compute.threads or 1,
        )
        found = audit(prepared.dataset, fold, prepared.official, stated, _origin(prepared, fold))
        prepared.audits[fold.fingerprint] = found
    return prepared.audits[fold.fingerprint]


def _origin(prepared: Prepared, fold: Fold) -> Origin:
    recipe = prepared.recipe
    commit, dirty = git_state()
    return Origin(
        run=str(recipe.output / recipe.name),
        seed=recipe.split.seed,
        recipe_sha256=recipe_sha256(recipe),
        data_fingerprint=fold.fingerprint,
        git_commit=commit,
        git_dirty=dirty,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
