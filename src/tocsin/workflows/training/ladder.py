"""The baselines of a run, fitted beside the network, and everybody's scores on the same rows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tocsin.core.axes import join
from tocsin.core.baseline import Baseline, Examples, Inputs, Rung, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_baseline
from tocsin.core.recipe import AVERAGE, Recipe
from tocsin.engine.task import Part
from tocsin.metrics.comparison import Scores
from tocsin.workflows.training.members import Member, Parts
from tocsin.workflows.training.shipping import Ladder, check_shippable, mixture, needed


def check_ladder(recipe: Recipe[Any], parts: Parts) -> None:
    """Raise InputError, before anything is trained, for a baseline that cannot read or cannot ship what it must."""
    for name in recipe.evaluation.baselines:
        reason = load_baseline(recipe.detector, name).unreadable(parts.encoder, parts.train.arrays)
        if reason:
            raise InputError(f"evaluation.baselines: {name} reads {reason}")
    check_shippable(recipe, parts.encoder, parts.train.arrays)


def fit_ladder(member: Member, tell: Callable[[str], None]) -> Ladder:
    """Fit the baselines that the recipe reports or ships; trees once more on the rows as they were augmented."""
    recipe, parts, seed = member.job.recipe, member.parts, member.job.seed
    names = dict.fromkeys([*recipe.evaluation.baselines, *needed(recipe, parts.train.arrays)])
    if not names:
        return {}
    tell(f"baselines: {', '.join(names)}")
    train, valid = (_examples(parts, part) for part in (parts.train, parts.valid))
    known = {name: load_baseline(recipe.detector, name) for name in names}
    augmented = _augmented(member) if any(b.rung is Rung.TREES for b in known.values()) else None
    found = {}
    for name, baseline in known.items():
        found[name] = fit_baseline(name, baseline, train, valid, seed)
        if augmented is not None and _learns_again(baseline, augmented):
            found[f"{name}, augmented"] = fit_baseline(name, baseline, augmented, valid, seed)
    return found


def _examples(parts: Parts, part: Part) -> Examples:
    return Examples(parts.encoder, part.arrays, part.columns, label=part.label)


def _augmented(member: Member) -> Examples | None:
    """Return one epoch of the rows as an augmenting stage trains on them, or None where it does not augment.

    For a baseline that is given the same help: else a comparison is about the augmentation, not about the models.
    """
    source, encoder = member.stage.train, member.parts.encoder
    if member.stage.promise is None:
        return None
    batches = [source[i] for i in range(len(source))]
    arrays = join([{n: values.numpy() for n, values in b.inputs.items()} for b in batches], encoder.axes)
    return Examples(encoder, arrays, label=np.concatenate([b.targets["label"].numpy() for b in batches]))


def _learns_again(baseline: Baseline[Any], augmented: Examples) -> bool:
    """Tell whether a baseline is given the help too: trees, if they read what was augmented, which has no texts."""
    is_read = baseline.reads != "texts" and not baseline.missing(augmented.arrays)
    return baseline.rung is Rung.TREES and is_read


def score_all(members: Mapping[str, Member], first: Member, ladder: Ladder) -> dict[str, Scores]:
    """Score members with what was exported, and the baselines that are none of them by their libraries."""
    ordered = sorted(members.items(), key=lambda item: item[1] is not first)
    scores = {name: _member_scores(member, ladder) for name, member in ordered}
    parts = first.parts
    valid, test = (Inputs(parts.encoder, part.arrays, part.columns) for part in (parts.valid, parts.test))
    for name, fitted in ladder.items():
        if name not in members:
            model = fitted.model
            found = (model.predict(valid), model.predict(test))
            scores[name] = Scores(*found, "baseline", model.description, fitted.seconds)
    return scores


def _member_scores(member: Member, ladder: Ladder) -> Scores:
    """Score what was exported; a shipped baseline stays a baseline."""
    is_baseline = member.model is None
    made = f"{ladder[member.job.name].model.description}, exported" if is_baseline else _parameters(member)
    return Scores(
        member.probability(member.valid),
        member.probability(member.test),
        "baseline" if is_baseline else "model",
        description=f"{made}, temperature {member.temperature:.3g}",
        fit_seconds=member.seconds,
    )


def _parameters(member: Member) -> str:
    count = sum(p.numel() for p in member.model.parameters()) if member.model is not None else 0
    if member.job.name != AVERAGE:
        return f"{count:,} parameters"
    weights = mixture(member.job.recipe, member.parts.train.arrays)
    return f"{count:,} parameters; mean of " + ", ".join(f"{name} x {w:g}" for name, w in weights.items())
