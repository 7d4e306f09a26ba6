"""The model card: what the model answers, what was measured, where it stops, in Hugging Face's form.

Source: Mitchell et al. 2019, "Model Cards for Model Reporting"; huggingface.co/docs/hub/model-cards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from tocsin.artifact.manifest import Manifest

Facts = Mapping[str, Any]


def write_card(manifest: Manifest, evaluation: Facts, readme: str) -> str:
    """Return `card.md` from the manifest, `evaluation.json` as a dict and the detector's README.

    Every number comes from the manifest or the evaluation; what they do not hold is left out.
    """
    primary = _primary(evaluation)
    sections = {
        "Answer": _answer(manifest),
        "Metrics": _metrics(manifest),
        "Operating point": _table(("", ""), primary.get("operating_point", {}).items()),
        "Compared with simpler models": _comparison(evaluation),
        "Data": _table(("", ""), manifest.data.items()),
        "Limits": "\n".join(f"- {sentence}" for sentence in _limits(manifest, evaluation)),
        "Made by": _table(("", ""), _origin(manifest)),
        "About the detector": _demoted(readme),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items() if text)
    return f"---\n{_front_matter(manifest)}---\n\n# {manifest.name}\n\n{body}\n"


def _front_matter(manifest: Manifest) -> str:
    measured = {
        name: found["value"] for name, found in manifest.metrics.items() if found["value"] is not None
    }
    kind = "text-generation" if manifest.runtime == "chat" else "other"
    task = {"type": kind, "name": manifest.detector}
    dataset = {
        "type": "custom",
        "name": ", ".join(map(str, manifest.data.get("sources", ()))) or manifest.sample,
    }
    scores = [{"type": name, "name": name, "value": value} for name, value in measured.items()]
    content = {
        "library_name": "tocsin",
        "license": manifest.data.get("licence", "unknown"),
        "tags": ["tocsin", "security", manifest.detector, manifest.runtime],
        "metrics": list(measured),
        "model-index": [
            {"name": manifest.name, "results": [{"task": task, "dataset": dataset, "metrics": scores}]}
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


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


def _metrics(manifest: Manifest) -> str:
    lines = [(name, _shown(m["value"]), _interval(m)) for name, m in manifest.metrics.items()]
    return _table(("metric", "value", "95 % interval"), lines)


def _comparison(evaluation: Facts) -> str:
    lines = [
        (
            name,
            *(
                _shown(model["metrics"].get(metric, {}).get("value"))
                for metric in ("roc_auc", "f1", "recall")
            ),
        )
        for name, model in evaluation.get("models", {}).items()
    ]
    verdicts = [
        f"- `{found['model']}` against `{found['other']}` in {found['metric']}: {found['verdict']}"
        f" ({_shown(found['difference']['value'])}, {_interval(found['difference'])})"
        for found in evaluation.get("comparisons", ())
    ]
    tables = [_table(("model", "roc_auc", "f1", "recall"), lines), "\n".join(verdicts)]
    return "\n\n".join(part for part in tables if part)


def _limits(manifest: Manifest, evaluation: Facts) -> list[str]:
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
    if manifest.data.get("refused_rows"):
        found.append(f"{manifest.data['refused_rows']} rows were refused and are not in the numbers.")
    if manifest.provenance.git_commit is None or manifest.provenance.git_dirty:
        found.append("The code that made it is in no commit, so it cannot be made again for sure.")
    return found


def _origin(manifest: Manifest) -> Iterable[tuple[str, object]]:
    made = manifest.provenance.model_dump()
    yield from {"version": manifest.version, "created at": manifest.created_at}.items()
    yield from ((name.replace("_", " "), value) for name, value in made.items())
    yield "largest difference from what trained it", max(manifest.parity.values(), default=None)


def _primary(evaluation: Facts) -> Facts:
    found: Facts = evaluation.get("models", {}).get(evaluation.get("primary"), {})
    return found


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, or nothing without lines."""
    cells = [[_shown(value) for value in line] for line in lines]
    rows = [list(head), ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) if cells else ""


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        if "value" in value:
            return f"{_shown(value['value'])} ({_interval(value)})"
        return ", ".join(f"{key}: {_shown(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def _interval(estimate: Facts) -> str:
    low, high = estimate.get("low"), estimate.get("high")
    return "-" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _demoted(readme: str) -> str:
    """Push headings two levels down, so that the card has one title; code fences are left alone."""
    lines, in_code = [], False
    for line in readme.strip().splitlines():
        in_code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not in_code else line)
    return "\n".join(lines)
