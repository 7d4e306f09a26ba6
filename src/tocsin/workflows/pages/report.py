"""The report of a run: one page that stands alone, its figures, and files named as in the source systems."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from tocsin.audit.findings import AuditReport
from tocsin.core.durable import write_bytes, write_json, write_text
from tocsin.core.provenance import Origin, Scoring
from tocsin.metrics.comparison import CATEGORY, NOVELTY, conclude
from tocsin.metrics.evaluation import BinaryEvaluation, Estimate, EvaluationReport
from tocsin.metrics.recommendation import recommend_simpler
from tocsin.workflows.pages.facet_figures import draw_by_facet
from tocsin.workflows.pages.figures import (
    METRIC_WORDS,
    draw_comparison,
    draw_confusion,
    draw_pr,
    draw_reliability,
    draw_roc,
    draw_slices,
    draw_training,
    png,
)

PAGE = "report.html"
HISTORY, PLOTTED = "metrics_history.csv", ("step", "train_loss", "val_loss", "value")


def write_report(folder: Path, evaluation: Mapping[str, Any], audit: Mapping[str, Any] | None = None) -> Path:
    """Write `report.html` and `reports/` into a run's folder; returns the page.

    `evaluation` and `audit` are the contents of evaluation.json and audit.json.
    """
    report = EvaluationReport.model_validate(evaluation)
    checks = None if audit is None else AuditReport.model_validate(audit)
    names = sorted(report.models, key=lambda n: (n != report.primary, report.models[n].kind == "baseline"))
    models = {name: report.models[name] for name in names}
    primary = models[report.primary]
    _write_named(folder / "reports", report.primary, primary, report.provenance)
    figures = {"comparison": draw_comparison(models), **_figures(models, primary)}
    training = draw_training(read_histories(folder))
    if training is not None:
        figures["training"] = training
    sentences = conclude(report) + recommend_simpler(report)
    facts = {"report": report, "models": models, "checks": checks, "sentences": sentences}
    return _write_page(folder, "report.html.j2", figures, facts | {"title": report.primary})


def write_evaluation(folder: Path, evaluation: BinaryEvaluation, scoring: Scoring | None = None) -> Path:
    """Write the page and `reports/` for one model on rows of its own; returns the page."""
    _write_named(folder / "reports", "model", evaluation, scoring)
    made = None if scoring is None else scoring.model_dump(mode="json")
    write_json(folder / "evaluation.json", evaluation.model_dump(mode="json") | {"provenance": made})
    figures = _figures({"model": evaluation}, evaluation)
    facts = {"models": {"model": evaluation}, "title": "model", "made": scoring}
    return _write_page(folder, "evaluation.html.j2", figures, facts)


def _figures(models: Mapping[str, BinaryEvaluation], primary: BinaryEvaluation) -> dict[str, Figure]:
    found = {
        "roc": draw_roc(models),
        "pr": draw_pr(models),
        "confusion": draw_confusion(primary),
        "reliability": draw_reliability(models),
        "slices": draw_slices(primary.slices),
    }
    drawn = {name: figure for name, figure in found.items() if figure is not None}
    return drawn | draw_by_facet(primary.slices)


def _write_page(folder: Path, template: str, figures: Mapping[str, Figure], facts: Mapping[str, Any]) -> Path:
    images = {name: png(figure) for name, figure in figures.items()}
    for name, image in images.items():
        write_bytes(folder / "reports" / "figures" / f"{name}.png", image)
    inline = {name: "data:image/png;base64," + b64encode(image).decode() for name, image in images.items()}
    words = {"words": METRIC_WORDS, "category": CATEGORY, "novelty": NOVELTY, "figures": inline}
    page = page_environment().get_template(template).render(**facts, **words)
    write_text(folder / PAGE, page)
    return folder / PAGE


def page_environment() -> Environment:
    """Return the templates of the pages, with their filters."""
    environment = Environment(
        loader=PackageLoader("tocsin.workflows.pages"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value": _value, "interval": _interval, "share": _share, "fact": _fact}
    return environment


def _value(estimate: Estimate) -> str:
    return "–" if estimate.value is None else f"{estimate.value:.4f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.4f} … {estimate.high:.4f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _fact(value: object) -> str:
    """Write a fact about the split in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value)) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _moment(created_at: str) -> datetime:
    return datetime.fromisoformat(created_at).astimezone(UTC)


def _write_named(
    folder: Path, name: str, evaluation: BinaryEvaluation, made: Origin | Scoring | None
) -> None:
    """Write `metrics.json` and `evaluation_report_<TIMESTAMP>.json`, with the source systems' names."""
    moment = datetime.now(UTC) if made is None else _moment(made.created_at)
    overall = {key: evaluation.metrics[key].value for key in ("accuracy", "precision", "recall", "f1")}
    auc, matrix = evaluation.metrics["roc_auc"].value, evaluation.confusion.matrix()
    named = {"f1_score" if key == "f1" else key: value for key, value in overall.items()}
    origin = {} if made is None else {"provenance": made.model_dump(mode="json")}
    write_json(folder / "metrics.json", named | {"auc": auc, "confusion_matrix": matrix} | origin)
    slices: dict[str, dict[str, Any]] = {}
    for line in evaluation.slices:
        shares = {name: getattr(line, name) for name in ("accuracy", "precision", "f1", "roc_auc", "pr_auc")}
        found = {"rows": line.rows, "recall": line.recall.value, "confusion_matrix": line.confusion.matrix()}
        slices.setdefault(line.by, {})[line.name] = found | shares
    content = {"timestamp": moment.isoformat(), "model": name, "overall": overall, "slices": slices}
    write_json(folder / f"evaluation_report_{moment:%Y%m%dT%H%M%SZ}.json", content | origin)


def read_histories(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the evaluations of every stage below a folder: `model/stage` -> table."""
    found = {}
    for path in sorted(folder.rglob(HISTORY)):
        name = "/".join(part for part in path.parent.relative_to(folder).parts if part != "models")
        table = pl.read_csv(path, infer_schema=False)
        found[name or "run"] = table.select(pl.col(PLOTTED).cast(pl.Float64, strict=False))
    return found
