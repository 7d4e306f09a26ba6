"""Print what runs proved as Markdown: `python tools/results.py FOLDER... > docs/results.md`.

Every number comes from an `evaluation.json` below the folders, none is typed.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from reference import table

from tocsin.metrics.comparison import NOVELTY, conclude
from tocsin.metrics.evaluation import EvaluationReport, ModelEvaluation
from tocsin.workflows.training.summary import show

COLUMNS = {
    "ROC-AUC": "roc_auc",
    "PR-AUC": "pr_auc",
    "F1": "f1",
    "recall": "recall",
    "false positives": "false_positive_rate",
    "recall at 1 % FPR": "recall_at_fpr_0.01",
    "at 0.1 %": "recall_at_fpr_0.001",
}
HEAD = """<!-- made by tools/results.py from evaluation.json files; do not edit -->
# Results

Recall and false positives are at the threshold that validation rows gave for 1 % false positives; the two last
columns read the test's own ROC curve, which no one has in production. 95 % bootstrap intervals over clusters of
near-duplicate rows. What a comparison says in words is the program's sentence.
"""


def summary(reports: Sequence[EvaluationReport]) -> str:
    """Return one line a run: the model beside the baseline with the highest ROC-AUC."""
    columns = ("split", "ROC-AUC", "best baseline", "verdict", "recall at 1 % FPR", "best baseline's")
    return table(columns, map(_compared, reports))


def _compared(report: EvaluationReport) -> tuple[str, ...]:
    baselines = {name: model for name, model in report.models.items() if model.kind == "baseline"}
    best = max(baselines, key=lambda name: baselines[name].metrics["roc_auc"].value or 0.0)
    verdict = next(c.verdict for c in report.comparisons if (c.metric, c.other) == ("roc_auc", best))
    own, other = report.models[report.primary].metrics, baselines[best].metrics
    recall = [show(metrics["recall_at_fpr_0.01"]) for metrics in (own, other)]
    return title(report), show(own["roc_auc"]), f"{show(other['roc_auc'])} {best}", verdict, *recall


def title(report: EvaluationReport) -> str:
    """Return what the run's folders say: the recipe's name, and the fold where there are several."""
    *_, recipe, fold, _seed = (Path("-"), *Path(report.provenance.run).parts)
    return f"{recipe}, {fold.removeprefix('held-out-')} held out" if fold.startswith("held-out-") else fold


def section(report: EvaluationReport) -> str:
    """Return one run: the table, what it says in words, and what made it."""
    origin, rows = report.provenance, report.split["rows"]
    body = table(["model", *COLUMNS], (line(n, m) for n, m in report.models.items()))
    said = "".join(f"- {sentence}\n" for sentence in conclude(report))
    sure = report.models[report.primary].operating_point.confidence
    threshold = "threshold by the share flagged" if sure is None else f"threshold sure at {sure:.0%}"
    state = f"commit {(origin.git_commit or 'none')[:10]}{' with changes' if origin.git_dirty else ''}"
    facts = (
        f"{rows['train']:,} rows to train, {rows['valid']:,} to choose, {rows['test']:,} to test; seed {origin.seed},"
        f" {threshold}, {state}, data {origin.data_fingerprint[:12]}, recipe {origin.recipe_sha256[:12]}."
    )
    return f"## {title(report)}\n\n{facts}\n\n{body}\n{said}{novelty(report)}"


def line(name: str, model: ModelEvaluation) -> tuple[str, ...]:
    """Return a model's row of the table."""
    return name, *(show(model.metrics.get(metric)) for metric in COLUMNS.values())


def novelty(report: EvaluationReport) -> str:
    """Return recall of attack types that training had and had not, where the test has both."""
    found = {
        name: {s.name: show(s.recall) for s in model.slices if s.by == NOVELTY}
        for name, model in report.models.items()
    }
    rows = [(name, both["seen"], both["unseen"]) for name, both in found.items() if len(both) == 2]
    if not rows:
        return ""
    return f"\n{table(['recall', 'attack types seen in training', 'unseen'], rows)}"


def reports(folders: Sequence[str]) -> Iterator[EvaluationReport]:
    """Read every evaluation below the folders, in the folders' order; the sealed copies are left out."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("evaluation.json")):
            if path.parent.name != "artifact":
                yield EvaluationReport.model_validate_json(path.read_bytes())


if __name__ == "__main__":
    found = tuple(reports(sys.argv[1:]))
    sys.stdout.write("\n".join([HEAD, summary(found), *map(section, found)]))
