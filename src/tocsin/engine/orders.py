"""The order to fit a detector's plan, and the form in which the leader sends it to the others."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from tocsin.core.plugins import load_detector, resolve
from tocsin.core.recipes import dump_recipe, parse_recipe
from tocsin.core.types import Files
from tocsin.engine.crew import Crew
from tocsin.engine.fits import PlanOptions
from tocsin.engine.hardware import make_fabric
from tocsin.engine.lending import borrow, lend, take_back
from tocsin.engine.plans import PlanResult, fit_plan
from tocsin.engine.task import Part, Plan, PlanContext

LENT = ".lent"
"""Folder of the rows while they are lent, in that of the fits."""
SENT = ("recipe", "schema", "encoder", "train", "valid", "unlabelled")
"""What of a context is sent in a form of its own."""


def make_plan(context: PlanContext) -> Plan:
    """Return the plan of the recipe's detector; InputError where it refuses the recipe or the rows."""
    return cast(Plan, resolve(load_detector(context.recipe.detector).plan)(context))  # type: ignore[operator]


@dataclass(frozen=True)
class FitOrder:
    """Fit a plan that was made of a context."""

    context: PlanContext
    plan: Plan
    options: PlanOptions

    def __call__(self, crew: Crew) -> PlanResult:
        """Fit; every process of the crew does at the same time."""
        return fit_plan(make_fabric(self.context.recipe.compute, crew), self.plan, self.context, self.options)

    def lend(self) -> "LentOrder":
        """Return what the others are sent: large arrays lie in files until `done` removes them."""
        context, folder = self.context, self.options.folder / LENT
        take_back(folder)  # of a process that was killed
        parts = (context.train, context.valid, context.unlabelled)
        return LentOrder(
            dump_recipe(context.recipe),
            context.encoder.save(),
            [None if part is None else _lend_part(part, folder) for part in parts],
            {f.name: getattr(context, f.name) for f in fields(context) if f.name not in SENT},
            replace(self.options, observers=None, tell=None),
        )

    def done(self) -> None:
        """Remove what was lent."""
        take_back(self.options.folder / LENT)


@dataclass(frozen=True)
class LentOrder:
    """A FitOrder on its way: no schema, no encoder, nothing that cannot be pickled."""

    recipe: str
    encoder: Files
    parts: list[Part | None]
    """Train, valid, unlabelled, with stand-ins for large arrays."""
    rest: dict[str, Any]
    """The other fields of the context."""
    options: PlanOptions

    def __call__(self, crew: Crew) -> PlanResult:
        """Fit as the leader does; who watches it watches there."""
        recipe = parse_recipe(self.recipe, "the recipe")
        detector = load_detector(recipe.detector)
        schema, encoder = detector.schema(recipe.data.sample), detector.load_encoder(self.encoder)
        train, valid, unlabelled = (None if part is None else _borrow_part(part) for part in self.parts)
        assert train is not None
        assert valid is not None
        context = PlanContext(
            recipe=recipe,
            schema=schema,
            encoder=encoder,
            train=train,
            valid=valid,
            unlabelled=unlabelled,
            **self.rest,
        )
        return FitOrder(context, make_plan(context), self.options)(crew)

    def lend(self) -> "LentOrder":
        """Return the order: it can be sent as it is."""
        return self


def _lend_part(part: Part, folder: Path) -> Part:
    lent: Any = {name: lend(getattr(part, name), folder) for name in ("columns", "arrays")}
    return replace(part, **lent)


def _borrow_part(part: Part) -> Part:
    mine: Any = {name: borrow(getattr(part, name)) for name in ("columns", "arrays")}
    return replace(part, **mine)
