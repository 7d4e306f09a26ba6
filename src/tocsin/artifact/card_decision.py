"""What the card of a model that gives verdicts tells: threshold, operating point, simpler models, thin slices."""

from tocsin.artifact.card import Facts, Told, interval, show, table
from tocsin.artifact.manifest import Manifest


def tell_decision(manifest: Manifest, evaluation: Facts) -> Told:
    """Return what the manifest and `evaluation.json`, as a dict, hold."""
    point = _primary(evaluation).get("operating_point", {})
    sections = {
        "Operating point": table(("", ""), point.items()),
        "Compared with simpler models": _comparison(evaluation),
    }
    return Told(_answer(manifest), sections, _limits(evaluation))


def _answer(manifest: Manifest) -> str:
    how = manifest.calibrated
    line = (
        f"`{manifest.detector}` reads a `{manifest.sample}` and answers `{how.positive}` where the calibrated"
        f" probability is at least {how.threshold:.6g}, else `{how.negative}`."
    )
    kinds = f" A positive is one of: {', '.join(how.categories)}." if how.categories else ""
    band = how.abstain_below
    people = "" if band is None else f" From {band:.6g} up to the threshold a person decides."
    own = ", ".join(f"{value} {t:.6g}" for value, t in sorted(how.thresholds.items()))
    return line + kinds + people + (f" By `{how.sliced_by}` the threshold is another: {own}." if own else "")


def _comparison(evaluation: Facts) -> str:
    lines = [
        (
            name,
            *(show(model["metrics"].get(metric, {}).get("value")) for metric in ("roc_auc", "f1", "recall")),
        )
        for name, model in evaluation.get("models", {}).items()
    ]
    verdicts = [
        f"- `{found['model']}` against `{found['other']}` in {found['metric']}: {found['verdict']}"
        f" ({show(found['difference']['value'])}, {interval(found['difference'])})"
        for found in evaluation.get("comparisons", ())
    ]
    tables = [table(("model", "roc_auc", "f1", "recall"), lines), "\n".join(verdicts)]
    return "\n\n".join(part for part in tables if part)


def _limits(evaluation: Facts) -> list[str]:
    """Say what the facts themselves show; what only people know stands in the detector's README."""
    found = ["The numbers hold for rows like those of the test; other networks, languages and years differ."]
    found += [
        f"In {other['metric']} it is not shown to be better than `{other['other']}`."
        for other in evaluation.get("comparisons", ())
        if other["verdict"] != "better"
    ]
    point = _primary(evaluation).get("operating_point", {})
    if point and point["upper_bound"] > point["max_false_positive_rate"]:
        found.append(f"The false-positive rate may be as high as {point['upper_bound']:.4g}.")
    thin = [s for s in _primary(evaluation).get("slices", ()) if s["too_few"]]
    found += [f"Slice {s['by']} = {s['name']}: too few rows ({s['rows']}) to say much." for s in thin]
    return found


def _primary(evaluation: Facts) -> Facts:
    found: Facts = evaluation.get("models", {}).get(evaluation.get("primary"), {})
    return found
