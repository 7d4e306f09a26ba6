"""A trial with a variant, for the leader of a crew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tocsin.core.recipes import with_overrides
from tocsin.engine.crew import Crew
from tocsin.engine.task import Report
from tocsin.workflows.training.members import Job
from tocsin.workflows.training.prepare import prepare, resolve_recipe
from tocsin.workflows.training.trackers import Tracking
from tocsin.workflows.training.trials import fit_planned, plan_fold
from workflows.small import SMALL

STILL = ["model.attention_dropout=0", "model.feedforward_dropout=0", "compute.precision='32'"]
"""Dropout draws other numbers on each device."""


def try_both(recipe: Path, crew: Crew, tell: Callable[[str], None]) -> dict[str, Report]:
    """Fit the model and a variant, and return what validation said of each."""
    sets = [*SMALL, *STILL, f"compute.devices={crew.size}"]
    prepared = prepare(resolve_recipe(recipe, sets).recipe)
    varied = with_overrides(prepared.recipe, {"variants": {"flat": {"model.feedforward": 8}}})
    prepared, fold = replace(prepared, recipe=varied), prepared.folds[0]
    folder = recipe.parent / f"tried-by-{crew.size}"
    job = Job("model", varied, folder, 42, False, fold.fingerprint, Tracking(bar=False), crew)
    planned = plan_fold(prepared, fold, job, tell)
    fitted = fit_planned(planned, job, tell, variants=True)
    return {name: trained.report for name, trained in fitted.models.items()}
