"""Print what runs proved as Markdown: `python tools/results.py FOLDER... > docs/results.md`.

Every number comes from an `evaluation.json` below the folders, none is typed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from reference import table

from tocsin.metrics.comparison import NOVELTY, conclude
from tocsin.metrics.evaluation import EvaluationReport, ModelEvaluation
from tocsin.workflows.summary import show

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


def section(path: Path) -> str:
    """Return one run: the table, what it says in words, and what made it."""
    report = EvaluationReport.model_validate_json(path.read_bytes())
    origin, rows = report.provenance, report.split["rows"]
    name = " / ".join(Path(origin.run).parts[-3:-1] if _is_fold(origin.run) else [Path(origin.run).parts[-2]])
    body = table(["model", *COLUMNS], (line(n, m) for n, m in report.models.items()))
    said = "".join(f"- {sentence}\n" for sentence in conclude(report))
    state = f"commit {(origin.git_commit or 'none')[:10]}{' with changes' if origin.git_dirty else ''}"
    facts = (
        f"{rows['train']:,} rows to train, {rows['valid']:,} to choose, {rows['test']:,} to test; seed {origin.seed},"
        f" {state}, data {origin.data_fingerprint[:12]}, recipe {origin.recipe_sha256[:12]}."
    )
    return f"## {name}\n\n{facts}\n\n{body}\n{said}{novelty(report)}"


def _is_fold(run: str) -> bool:
    return Path(run).parts[-2].startswith("held-out-")


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


def sections(folders: list[str]) -> Iterator[str]:
    """Yield a section for every evaluation below the folders, in the folders' order."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("evaluation.json")):
            if path.parent.name != "artifact":
                yield section(path)


if __name__ == "__main__":
    sys.stdout.write("\n".join([HEAD, *sections(sys.argv[1:])]))
