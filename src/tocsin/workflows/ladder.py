"""The baselines of a run, fitted beside the network, and everybody's scores on the same rows."""

from collections.abc import Callable, Mapping

from tocsin.audit.baselines import Baseline, fit_baselines
from tocsin.metrics.comparison import Scores
from tocsin.workflows.members import Member, augmented_rows
from tocsin.workflows.shipping import AVERAGE, BOOSTED, NEEDED


def fit_ladder(member: Member, tell: Callable[[str], None]) -> dict[str, Baseline]:
    """Fit the baselines that the recipe reports or ships, and LightGBM once more on the rows as they were augmented."""
    recipe, parts, seed = member.job.recipe, member.parts, member.job.seed
    names = list(dict.fromkeys([*recipe.evaluation.baselines, *NEEDED[recipe.export.ship]]))
    if not names:
        return {}
    tell(f"baselines: {', '.join(names)}")
    train, valid = (parts.encoder.flatten(part.arrays) for part in (parts.train, parts.valid))
    held_out = (valid, parts.valid.label)
    fitted = fit_baselines(names, (train, parts.train.label), held_out, seed)
    augmented = augmented_rows(member.stage) if BOOSTED in names else None
    if augmented is not None:
        rows = (parts.encoder.flatten(augmented[0]), augmented[1])
        fitted[f"{BOOSTED}, augmented"] = fit_baselines([BOOSTED], rows, held_out, seed)[BOOSTED]
    return fitted


def score_all(
    members: Mapping[str, Member], first: Member, ladder: Mapping[str, Baseline]
) -> dict[str, Scores]:
    """Score members with what was exported, and the baselines that are none of them by their libraries."""
    ordered = sorted(members.items(), key=lambda item: item[1] is not first)
    scores = {name: _member_scores(member, ladder) for name, member in ordered}
    others = {name: baseline for name, baseline in ladder.items() if name not in members}
    return scores | (_baseline_scores(first, others) if others else {})


def _member_scores(member: Member, ladder: Mapping[str, Baseline]) -> Scores:
    """Score what was exported; a shipped baseline stays a baseline."""
    is_baseline = member.model is None
    made = f"{ladder[member.job.name].description}, exported" if is_baseline else _parameters(member)
    return Scores(
        member.probability(member.valid),
        member.probability(member.test),
        "baseline" if is_baseline else "model",
        description=f"{made}, temperature {member.temperature:.3g}",
        fit_seconds=member.seconds,
    )


def _parameters(member: Member) -> str:
    count = sum(p.numel() for p in member.model.parameters()) if member.model is not None else 0
    return f"{count:,} parameters" + (" and LightGBM, averaged" if member.job.name == AVERAGE else "")


def _baseline_scores(member: Member, baselines: Mapping[str, Baseline]) -> dict[str, Scores]:
    sides = (member.parts.valid, member.parts.test)
    valid, test = (member.parts.encoder.flatten(part.arrays)[0] for part in sides)
    return {
        name: Scores(b.predict(valid), b.predict(test), "baseline", b.description, b.seconds)
        for name, b in baselines.items()
    }
