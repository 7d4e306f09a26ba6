"""The baselines that a recipe names are held to those that its detector has."""

from collections.abc import Iterator
from typing import Any

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.plugins import baseline_names, load_baseline
from tocsin.core.recipe import AVERAGE, MODEL, Recipe
from tocsin.core.recipe_keys import Origin


def shippable(detector: str) -> list[str]:
    """Return the baselines of a detector that have a graph."""
    return [name for name in baseline_names(detector) if load_baseline(detector, name).graph is not None]


def check_baselines(recipe: Recipe[Any], origin: Origin) -> None:
    """Raise InputError for names that the recipe's detector does not have, one line each, with the nearest.

    Only a recipe that ships something else than its model imports a baseline.
    """
    lines = [f"{origin(dotted)}: {dotted}: {what}" for dotted, what in _faults(recipe)]
    if lines:
        raise InputError("\n".join(lines))


def _faults(recipe: Recipe[Any]) -> Iterator[tuple[str, str]]:
    known = baseline_names(recipe.detector)
    for place, name in enumerate(recipe.evaluation.baselines):
        if name not in known:
            yield f"evaluation.baselines.{place}", _refuse(name, f"no baseline of {recipe.detector}", known)
    export = recipe.export
    if export.ship == MODEL:
        return
    graphs = shippable(recipe.detector)
    if export.ship not in (AVERAGE, *graphs):
        yield "export.ship", _refuse(export.ship, "nothing that can be shipped", [MODEL, AVERAGE, *graphs])
    for name in export.weights or ():
        if name not in (MODEL, *graphs):
            yield f"export.weights.{name}", _refuse(name, "nothing that can be averaged", [MODEL, *graphs])


def _refuse(name: str, what: str, known: list[str]) -> str:
    return f"{name!r} is {what}{did_you_mean(name, known)} (there are: {', '.join(known)})"
