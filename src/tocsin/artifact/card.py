"""The model card: what the model answers, what was measured, where it stops, in Hugging Face's form.

Source: Mitchell et al. 2019, "Model Cards for Model Reporting"; huggingface.co/docs/hub/model-cards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tocsin.artifact.manifest import Manifest

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """What the kind of a detector has to say in its card."""

    answer: str
    """What it answers, and when."""
    sections: Mapping[str, str]
    """Title -> text, behind the metrics."""
    limits: Sequence[str]
    """Sentences, before those that hold for every model."""


def write_card(manifest: Manifest, told: Told, readme: str) -> str:
    """Return `card.md` from the manifest, what the kind of the detector tells, and the detector's README.

    Every number comes from the manifest or the evaluation; what they do not hold is left out.
    """
    limits = [*told.limits, *_limits(manifest)]
    sections = {
        "Answer": told.answer,
        "Metrics": _metrics(manifest),
        **told.sections,
        "Data": table(("", ""), manifest.data.items()),
        "Limits": "\n".join(f"- {sentence}" for sentence in limits),
        "Made by": table(("", ""), _origin(manifest)),
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


def _metrics(manifest: Manifest) -> str:
    lines = [(name, show(m["value"]), interval(m)) for name, m in manifest.metrics.items()]
    return table(("metric", "value", "95 % interval"), lines)


def _limits(manifest: Manifest) -> list[str]:
    """Say what the manifest itself shows; what only people know stands in the detector's README."""
    found = []
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


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, or nothing without lines."""
    cells = [[show(value) for value in line] for line in lines]
    rows = [list(head), ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) if cells else ""


def show(value: object) -> str:
    """Return a value as a cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        if "value" in value:
            return f"{show(value['value'])} ({interval(value)})"
        return ", ".join(f"{key}: {show(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def interval(estimate: Facts) -> str:
    """Return the ends of an interval, or a dash."""
    low, high = estimate.get("low"), estimate.get("high")
    return "-" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _demoted(readme: str) -> str:
    """Push headings two levels down, so that the card has one title; code fences are left alone."""
    lines, in_code = [], False
    for line in readme.strip().splitlines():
        in_code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not in_code else line)
    return "\n".join(lines)
