"""The page stands alone, says what the numbers say, and is safe whatever the data is called."""

import json

import numpy as np
import polars as pl
import pytest

from tocsin.audit.findings import AuditReport, ColumnFacts, Finding
from tocsin.core.durable import json_bytes
from tocsin.core.provenance import Origin
from tocsin.core.recipe import EvaluationSection
from tocsin.metrics.comparison import Scores, Truth, compare_models, conclude
from tocsin.metrics.evaluation import evaluate_binary
from tocsin.workflows.pages.report import write_evaluation, write_report
from workflows.page import Page

ROWS = 600
FIGURES = {"comparison", "roc", "pr", "confusion", "reliability", "slices"}
EVIL = "<script>alert('x')</script>"


def made_report(name="ours", run="runs/demo/seed_1"):
    rng = np.random.default_rng(0)
    valid, test = rng.integers(0, 2, (2, ROWS))
    noise = rng.normal(size=(2, ROWS))

    def scores(shift, kind):
        return Scores(
            *(1 / (1 + np.exp(-(n + shift * t))) for n, t in zip(noise, (valid, test), strict=True)), kind
        )

    category = np.array(
        ["" if not t else EVIL if i % 9 == 0 else "dos" for i, t in enumerate(test)], dtype=object
    )
    origin = Origin(
        run=run, seed=17, recipe_sha256="a1" * 32, data_fingerprint="b2" * 32, git_commit="c3" * 20,
        git_dirty=True, created_at="2026-11-20T10:11:12+00:00",
    )  # fmt: skip
    flat = Scores(np.full(ROWS, 0.5), np.full(ROWS, 0.5), "baseline", "always the same")
    truth = Truth(valid, test, category=category, known=frozenset({"dos"}), split={
        "naive_overlap": 0.4321, "overlap": 0.0, "strata": {"train": {"dos": 7}}, "held_out": ["worm"],
    })  # fmt: skip
    models = {name: scores(2.5, "model"), "simple": scores(1.0, "baseline"), "majority": flat}
    return compare_models(
        truth, models, EvaluationSection(resamples=100, max_false_positive_rate=0.05), name, origin
    )


def made_audit(severity="warning"):
    finding = Finding(
        severity=severity, name="shortcut", message=f"look at {EVIL}", rows=("a.csv:7",), action="mend it"
    )
    column = ColumnFacts(
        name="ttl", kind="number", missing=0.25, infinite=0, distinct=3, top_share=0.5, auc=0.875
    )
    sides = {"train": 3, "valid": 2, "test": 1}
    return AuditReport(
        rows=sides, positives=sides, findings=(finding,), columns=(column,), split={}, statistics={}
    )


def history(folder, **values):
    columns = {"step": [1, 2], "train_loss": [0.7, 0.5], "val_loss": [0.8, 0.6], "value": [0.5, 0.9]} | values
    folder.mkdir(parents=True)
    pl.DataFrame(columns).write_csv(folder / "metrics_history.csv")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    history(folder / "models" / "ours" / "pretrain")
    history(folder / "models" / "ours" / "finetune", val_loss=["nan", "0.5"], train_loss=["", ""])
    report = made_report()
    page = write_report(folder, report.model_dump(mode="json"), made_audit().model_dump(mode="json"))
    return folder, report, Page(page.read_text("utf-8"))


def test_the_page_stands_alone(run):
    folder, _, page = run
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.links) == page.tags.count("img") == 7
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    text = (folder / "report.html").read_text("utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_names_from_the_data_are_shown_and_not_run(run):
    folder, _, page = run
    assert EVIL in page.text  # as text: the parser would report a tag otherwise
    assert EVIL not in (folder / "report.html").read_text("utf-8")


def test_every_number_of_the_primary_model_is_shown(run):
    _, report, page = run
    for name, estimate in report.models["ours"].metrics.items():
        if name == "false_positive_rate":
            assert f"{estimate.value:.2%}" in page.text
        elif estimate.low is None:
            assert name == "recall_at_fpr_0.001"  # some 300 negatives say nothing about one in a thousand
        else:
            assert f"{estimate.value:.4f} {estimate.low:.4f} … {estimate.high:.4f}" in page.text, name


def test_the_verdict_is_said_in_words(run):
    _, report, page = run
    for sentence in conclude(report):
        assert sentence in page.text
    assert "ours is better than every baseline in ROC-AUC" in page.text


def test_every_section_with_numbers_says_what_made_them(run):
    _, _, page = run
    sections = page.tags.count("section")
    origin = f"seed 17 · recipe {'a1' * 6} · data {'b2' * 6} · commit {'c3' * 6} with uncommitted changes"
    assert page.text.count(origin) == sections - 1  # the last one is the provenance itself
    assert "c3" * 20 in page.text


def test_split_audit_and_slices_are_shown(run):
    _, _, page = run
    for words in (
        "43.21%",
        "train dos 7",
        "worm",
        "mend it",
        "a.csv:7",
        "ttl 0.8750 25.00% 3",
        "unseen kinds",
    ):
        assert words in page.text, words


def test_the_figures_are_files_too(run):
    folder, _, page = run
    files = {path.stem: path.read_bytes() for path in (folder / "reports" / "figures").iterdir()}
    assert set(files) == FIGURES | {"training"}
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in files.values())
    assert len(set(page.links)) == len(files)


def test_files_with_the_names_of_the_source_systems(run):
    folder, report, _ = run
    ours = report.models["ours"]
    metrics = json.loads((folder / "reports" / "metrics.json").read_text())
    named = {"accuracy", "precision", "recall", "f1_score", "auc", "confusion_matrix"}
    assert set(metrics) == named | {"provenance"}
    assert metrics["provenance"]["seed"] == 17
    assert metrics["auc"] == ours.metrics["roc_auc"].value
    (tn, fp), (fn, tp) = metrics["confusion_matrix"]
    assert metrics["accuracy"] == pytest.approx((tn + tp) / ROWS)
    assert metrics["recall"] == pytest.approx(tp / (tp + fn))
    assert metrics["precision"] == pytest.approx(tp / (tp + fp))
    content = json.loads((folder / "reports" / "evaluation_report_20261120T101112Z.json").read_text())
    assert set(content["overall"]) == {"accuracy", "precision", "recall", "f1"}
    assert {(by, name) for by, lines in content["slices"].items() for name in lines} == {
        (s.by, s.name) for s in ours.slices
    }
    assert set(content["slices"]["category"]["dos"]) == {
        "rows", "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "confusion_matrix",
    }  # fmt: skip


def test_equal_numbers_give_equal_pages(tmp_path):
    pages = [write_report(tmp_path / n, json.loads(json_bytes(made_report()))) for n in "ab"]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert b"Training" not in pages[0].read_bytes()


def test_a_failed_audit_is_part_of_the_verdict(tmp_path):
    page = write_report(tmp_path, made_report().model_dump(), made_audit("error").model_dump())
    assert "The audit found 1 error(s)" in page.read_text("utf-8")


def test_one_model_on_rows_of_its_own(tmp_path):
    truth = np.arange(200) % 2
    evaluation = evaluate_binary(truth, np.random.default_rng(0).random(200), 0.5)
    page = Page(write_evaluation(tmp_path, evaluation).read_text("utf-8"))
    assert page.open == []
    assert f"{evaluation.metrics['f1'].value:.4f}" in page.text
    assert {path.stem for path in (tmp_path / "reports" / "figures").iterdir()} == FIGURES - {
        "comparison",
        "slices",
    }
    assert (tmp_path / "reports" / "metrics.json").exists()
    assert json.loads((tmp_path / "evaluation.json").read_text())["rows"] == 200


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_have_a_page(tmp_path, label):
    evaluation = evaluate_binary(
        np.full(50, label), np.linspace(0, 1, 50), 0.5, slices={"half": np.arange(50) // 25}
    )
    assert "–" in write_evaluation(tmp_path, evaluation).read_text("utf-8")
