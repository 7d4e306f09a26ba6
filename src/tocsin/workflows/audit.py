"""Audit the rows of a recipe, before any training."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tocsin.audit.findings import AuditReport
from tocsin.audit.tables import audit, statistics_of
from tocsin.core.durable import write_json
from tocsin.workflows.prepare import prepare, resolve_recipe


def audit_recipe(path: Path, sets: Sequence[str], tell: Callable[[str], None]) -> AuditReport:
    """Read and split the rows, run every check, and write audit.json and stats_report.json into the recipe's folder."""
    recipe = resolve_recipe(path, sets).recipe
    tell(f"reading {', '.join(recipe.data.train)}")
    prepared = prepare(recipe)
    report = audit(prepared.dataset, prepared.folds[0], prepared.official)
    folder = recipe.output / recipe.name
    write_json(folder / "audit.json", report)
    write_json(folder / "stats_report.json", statistics_of(prepared.dataset))
    tell(f"wrote {folder / 'audit.json'} and {folder / 'stats_report.json'}")
    return report
