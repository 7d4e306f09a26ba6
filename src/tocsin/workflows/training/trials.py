"""A trial: a fold that is fitted and validated, without its test rows. A run is a trial that is then proved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tocsin.core.recipes import with_overrides
from tocsin.data.splits import Fold
from tocsin.engine.orders import FitOrder
from tocsin.engine.task import Report
from tocsin.workflows.training.kinds import proof_of
from tocsin.workflows.training.members import Job, Parts, Trained, encode_parts, order_fit, train_member
from tocsin.workflows.training.prepare import Prepared

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """A fold that is encoded, and the plan of its model: what can be refused was, and nothing is written."""

    prepared: Prepared
    fold: Fold
    parts: Parts
    order: FitOrder


@dataclass(frozen=True)
class Fitted:
    """A fold whose models are fitted and validated, and not tested."""

    prepared: Prepared
    fold: Fold
    job: Job
    models: Mapping[str, Trained]
    """The model first, then the variants."""

    @property
    def report(self) -> Report:
        """The best evaluation of the model on the validation rows: what a search follows."""
        return self.models[self.job.name].report


def fit_fold(prepared: Prepared, fold: Fold, job: Job, tell: Tell) -> Fitted:
    """Fit the model of a fold and validate it; the test rows are not touched, and nothing is sealed.

    Who watches the fit, and may stop it, comes with `job.tracking`. InputError, before anything is written, for rows
    or a recipe that training refuses.
    """
    return fit_planned(plan_fold(prepared, fold, job, tell), job, tell, variants=False)


def plan_fold(prepared: Prepared, fold: Fold, job: Job, tell: Tell) -> Planned:
    """Check and encode the rows and plan the model; InputError for what training refuses."""
    proof = proof_of(prepared.detector)
    proof.check(prepared, fold)
    parts = encode_parts(prepared, fold, job.recipe)
    proof.check_parts(job.recipe, parts)
    own = replace(job, folder=job.folder / "models" / job.name)
    return Planned(prepared, fold, parts, order_fit(prepared, parts, own, tell))


def fit_planned(planned: Planned, job: Job, tell: Tell, *, variants: bool) -> Fitted:
    """Fit the planned model and, if wanted, the recipe's variants."""
    prepared, fold = planned.prepared, planned.fold
    models = job.folder / "models"
    first = replace(job, folder=models / job.name)
    found = {job.name: train_member(planned.order, planned.parts, first)}
    for name, overrides in job.recipe.variants.items() if variants else ():
        recipe = with_overrides(job.recipe, overrides)
        same = recipe.model == job.recipe.model
        parts = planned.parts if same else encode_parts(prepared, fold, recipe)
        own = replace(job, name=name, recipe=recipe, folder=models / name)
        found[name] = train_member(order_fit(prepared, parts, own, tell), parts, own)
    return Fitted(prepared, fold, job, found)
