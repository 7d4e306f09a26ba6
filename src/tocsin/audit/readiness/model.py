"""M1 to M7: the model's specification, what it has to beat, and whom it serves worse."""

from hashlib import sha256

from scipy.stats import binom

from tocsin.artifact.manifest import RECIPE
from tocsin.audit.readiness.facts import Answer, Check, Facts, Known, decide, failed, later, not_yet, passed
from tocsin.core.baseline import Rung
from tocsin.core.durable import json_bytes
from tocsin.core.plugins import load_detector, rungs
from tocsin.core.recipe_keys import flatten
from tocsin.core.recipes import load_default
from tocsin.metrics.significance import LEVEL, holm

EVALUATION = "evaluation.json"
FLOOR = 0.5
"""Least recall of a slice, where the recipe is older than `evaluation.slice_floor`."""
GROUPS = frozenset({"language", "dialect", "region"})
GAP = 0.1
"""Largest difference in recall between two groups of people."""


def check_specification(known: Known) -> Answer:
    """M1: the recipe is the one that was named, and the code that it ran on is in a commit."""
    made = known.manifest.provenance
    facts: Facts = {"recipe_sha256": made.recipe_sha256, "commit": made.git_commit}
    if sha256(json_bytes(known.recipe)).hexdigest() != made.recipe_sha256:
        return failed("the sealed recipe is not the one that the numbers came from", RECIPE, facts=facts)
    if made.git_commit is None:
        return not_yet(
            "it was trained outside a repository: nothing shows which code it was", RECIPE, facts=facts
        )
    if made.git_dirty is not False:
        return failed("it was trained on changes that are in no commit", RECIPE, facts=facts)
    review = known.facts("review") or {}
    if review.get("reviewed_by"):
        by = ", ".join(review["reviewed_by"])
        return passed(f"recipe and commit are known, reviewed by {by}", RECIPE, "review", facts=facts)
    words = "recipe and commit are known; the commit carries no Reviewed-by line"
    return passed(words, RECIPE, score=0.5, facts=facts)


def check_tuning(known: Known) -> Answer:
    """M3: which settings were ever varied. There is no search yet, so this never passes."""
    default = load_default(load_detector(known.manifest.detector)).model_dump(mode="json")
    defaults, mine = (dict(flatten(_tunable(recipe))) for recipe in (default, known.recipe))
    tried = {key for overrides in known.recipe["variants"].values() for key in overrides}
    untouched = sorted(key for key, value in mine.items() if defaults.get(key) == value and key not in tried)
    words = f"{len(untouched)} of {len(mine)} settings are at their default and were never varied"
    return not_yet(words, RECIPE, facts={"untouched": untouched})


def _tunable(recipe: Facts) -> Facts:
    return {"model": recipe["model"], "stages": recipe["stages"]}


def check_simpler(known: Known) -> Answer:
    """M5: no simpler model is shown to be better on the same rows."""
    report = known.evaluation
    models = report.get("models", {})
    ladder = rungs(known.manifest.detector)
    missing = [
        " or ".join(names)
        for rung, names in ladder.items()
        if rung >= Rung.LINEAR and not set(names) & models.keys()
    ]
    if missing:
        return not_yet(f"it was not compared with {', '.join(missing)}", EVALUATION)
    own = next((rung for rung, names in ladder.items() if report["primary"] in names), None)
    below = [names for rung, names in ladder.items() if own is not None and rung < own]
    simpler = models.keys() if own is None else set().union(*below)  # where a baseline is shipped
    found = [
        c for c in report["comparisons"] if models[c["other"]]["kind"] == "baseline" and c["other"] in simpler
    ]
    worse = [c for c in found if c["verdict"] == "worse"]
    problems = [f"{c['other']} is better in {c['metric']} ({_interval(c)})" for c in worse]
    good = f"none of {len({c['other'] for c in found})} baselines is shown to be better"
    return decide(problems, good, EVALUATION, facts={"compared": len(found)})


def _interval(comparison: Facts) -> str:
    found = comparison["difference"]
    return f"{-found['high']:.4f} to {-found['low']:.4f}"


def check_slices(known: Known) -> Answer:
    """M6: no slice is shown to fall below the floor, one-sided exact tests with Holm's correction."""
    slices = [s for s in known.primary.get("slices", ()) if s["positives"] and not s["too_few"]]
    if not slices:
        return not_yet("the evaluation has no slice with enough positives", EVALUATION)
    floor = float(known.recipe["evaluation"].get("slice_floor", FLOOR))
    adjusted = holm([_below(s, floor) for s in slices])
    low = [s for s, p in zip(slices, adjusted, strict=True) if p <= LEVEL]
    worst = min(slices, key=lambda s: s["recall"]["value"])
    problems = [
        f"{s['by']} {s['name']}: recall {s['recall']['value']:.3f}, the floor is {floor:g}" for s in low
    ]
    good = f"no slice of {len(slices)} is shown to be below {floor:g}; "
    good += f"worst: {worst['by']} {worst['name']}, recall {worst['recall']['value']:.3f}"
    return decide(
        problems,
        good,
        EVALUATION,
        facts={"slices": len(slices), "floor": floor, "worst": worst["recall"]["value"]},
    )


def _below(line: Facts, floor: float) -> float:
    """Return the probability of so few hits where the recall of the slice is at the floor."""
    hits = round(line["recall"]["value"] * line["positives"])
    return float(binom.cdf(hits, line["positives"], floor))


def check_inclusion(known: Known) -> Answer:
    """M7: recall differs little between groups of people, where the rows tell groups."""
    groups = [
        s for s in known.primary.get("slices", ())
        if s["by"] in GROUPS and s["positives"] and not s["too_few"]
    ]  # fmt: skip
    if len(groups) < 2:
        return not_yet("the rows name no language, dialect or region", EVALUATION)
    recall = {f"{s['by']} {s['name']}": s["recall"]["value"] for s in groups}
    gap = max(recall.values()) - min(recall.values())
    worst = min(recall, key=lambda name: recall[name])
    problems = [f"recall differs by {gap:.3f}, worst for {worst}; {GAP:g} is allowed"] if gap > GAP else []
    return decide(
        problems,
        f"recall differs by {gap:.3f} over {len(recall)} groups",
        EVALUATION,
        facts={"recall": recall},
    )


CHECKS = (
    Check("M1", "Every model specification is reviewed and checked in", check_specification),
    Check(
        "M2",
        "Offline proxy metrics correlate with online impact",
        later("needs logged decisions with their labels"),
    ),
    Check("M3", "All hyperparameters have been tuned", check_tuning),
    Check(
        "M4",
        "The impact of model staleness is known",
        later("needs a model trained on older rows, judged on newer"),
    ),
    Check("M5", "A simpler model is not better", check_simpler),
    Check("M6", "Quality is sufficient on all important slices", check_slices),
    Check("M7", "The model was tested for considerations of inclusion", check_inclusion),
)
