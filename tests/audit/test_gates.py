"""Each gate passes on a healthy run, fails when what it guards against happens, and never passes without evidence."""

import copy
from typing import Any

import pytest

from audit.made import Made, flows
from tocsin.audit.findings import AuditReport, Finding, LeakMeter, Shortcut
from tocsin.audit.gates import GATES, evaluate_gates
from tocsin.audit.tables import CHECKS
from tocsin.core.provenance import Origin

ORIGIN: dict[str, Any] = {
    "run": "runs/x", "seed": 7, "recipe_sha256": "a" * 64, "data_fingerprint": "b" * 64, "git_commit": "c" * 40,
    "git_dirty": False, "created_at": "2026-11-20T10:11:12+00:00",
}  # fmt: skip


def model(auc: float, kind: str = "baseline") -> dict[str, Any]:
    return {
        "kind": kind,
        "rows": 300,
        "metrics": {"roc_auc": {"value": auc}, "recall": {"value": 0.8}},
        "operating_point": {"threshold": 0.6, "valid_negatives": 90},
    }


def evidence() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Audit, evaluation and manifest of a healthy run."""
    leak = LeakMeter(
        model="m", naive=0.95, honest=0.94, naive_recall=0.7, honest_recall=0.69, noise=0.01, rows=1200,
        official=False, sentence="the naive split would have claimed 0.950; the honest figure is 0.940",
    )  # fmt: skip
    audit = AuditReport(
        rows={"train": 700, "valid": 200, "test": 300},
        positives={"train": 350, "valid": 110, "test": 150},
        findings=(Finding(severity="info", name="class balance", message="fine"),),
        columns=(),
        split={"naive_overlap": 0.3, "overlap": 0.0},
        statistics={"refused_rows": 4, "sources": {"a.csv": 1200}},
        shortcuts=(Shortcut(name="length", roc_auc=0.7, test_roc_auc=0.7, description="d"),),
        leak=leak,
        provenance=Origin(**ORIGIN),
    )
    scores = {"majority": 0.5, "stump": 0.8, "logistic": 0.9, "lightgbm": 0.95}
    models = {"net": model(0.96, "model")} | {name: model(auc) for name, auc in scores.items()}
    evaluation = {"primary": "net", "models": models, "provenance": dict(ORIGIN)}
    manifest = {
        "detector": "intrusion",
        "files": {"golden.jsonl": "1", "recipe.yaml": "2"},
        "parity": {"1": 1e-7, "64": 2e-7},
        "calibration": {"threshold": 0.6},
        "provenance": dict(ORIGIN),
    }
    return audit.model_dump(mode="json"), evaluation, manifest


def statuses(audit, evaluation, manifest) -> dict[str, str]:
    return {gate.id: gate.status for gate in evaluate_gates(audit, evaluation, manifest)}


def test_a_healthy_run_passes_all_ten():
    gates = evaluate_gates(*evidence())
    assert [gate.id for gate in gates] == [f"F{n}" for n in range(1, 11)]
    assert {gate.status for gate in gates} == {"passed"}, gates
    assert all(gate.evidence and gate.title and gate.enforced_by for gate in gates)


def test_models_are_taken_as_well_as_their_json():
    audit, evaluation, manifest = evidence()
    assert statuses(AuditReport.model_validate(audit), evaluation, manifest) == statuses(
        audit, evaluation, manifest
    )


def finding(name: str, severity: str = "error") -> dict[str, Any]:
    return {"severity": severity, "name": name, "message": "m", "rows": [], "action": ""}


def set_in(content: dict[str, Any], path: str, value: object) -> None:
    *folders, last = path.split("/")
    for folder in folders:
        content = content[folder]
    content[last] = value


BREAKS = [
    ("F1", 0, "findings", [finding("duplicates across the split")]),
    ("F1", 0, "findings", [finding("near-duplicates across the split")]),
    ("F1", 0, "findings", [finding("groups across the split")]),
    ("F1", 0, "findings", [finding("time across the split")]),
    ("F1", 0, "split/overlap", 0.001),
    ("F2", 0, "shortcuts/0/test_roc_auc", 0.945),
    ("F2", 1, "models/stump/metrics/roc_auc/value", 0.95),
    ("F3", 1, "models/logistic/kind", "model"),
    ("F6", 1, "provenance/seed", None),
    ("F6", 1, "provenance", None),
    ("F6", 1, "provenance/data_fingerprint", "d" * 64),
    ("F6", 2, "provenance/data_fingerprint", "d" * 64),
    ("F7", 2, "calibration/threshold", 0.5),
    ("F7", 1, "models/net/operating_point/valid_negatives", 0),
    ("F7", 1, "models/net/rows", 299),
    ("F8", 0, "findings", [finding("labels")]),
    ("F8", 0, "rows/test", 0),
    ("F8", 1, "models/net/metrics/recall/value", None),
    ("F9", 0, "findings", [finding("foreign rows")]),
    ("F9", 0, "findings", [finding("empty rows")]),
    ("F9", 0, "findings", [finding("constant rows", "warning")]),
    ("F9", 0, "findings", [finding("undescribed sources", "warning")]),
    ("F9", 0, "findings", [finding("schema")]),
]


@pytest.mark.parametrize(
    ("gate", "which", "path", "value"), BREAKS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_it_fails_when_it_should_and_only_then(gate: str, which: int, path: str, value: object):
    """A break may touch a second gate (no test rows at all), but never leaves its own as it was."""
    contents = copy.deepcopy(evidence())
    _set = contents[which]
    if path == "shortcuts/0/test_roc_auc":
        _set["shortcuts"][0]["test_roc_auc"] = value
    else:
        set_in(_set, path, value)
    found = statuses(*contents)
    assert found[gate] == "failed"
    assert [name for name, status in found.items() if status == "failed" and name != gate] in ([], ["F7"])


@pytest.mark.parametrize(("name", "status"), [("bag-of-words", "passed"), ("best single word", "failed")])
def test_all_the_words_are_content_and_one_word_is_a_shortcut(name: str, status: str):
    audit, evaluation, manifest = copy.deepcopy(evidence())
    audit["shortcuts"].append({"name": name, "roc_auc": 0.95, "test_roc_auc": 0.95, "description": "d"})
    assert statuses(audit, evaluation, manifest)["F2"] == status
    (gate,) = (gate for gate in evaluate_gates(audit, evaluation, manifest) if gate.id == "F2")
    assert ("alarm" in gate.evidence) == (name == "bag-of-words")
    audit["shortcuts"][-1]["test_roc_auc"] = 0.8
    (gate,) = (gate for gate in evaluate_gates(audit, evaluation, manifest) if gate.id == "F2")
    assert (gate.status, "alarm" in gate.evidence) == ("passed", False)


def test_a_published_test_may_repeat_a_little_and_says_so():
    audit, evaluation, manifest = copy.deepcopy(evidence())
    audit["leak"]["official"] = True
    audit["split"]["overlap"] = 0.03
    gate = evaluate_gates(audit, evaluation, manifest)[0]
    assert gate.status == "passed"
    assert "3.0% of the test rows" in gate.evidence
    audit["split"]["overlap"] = 0.46
    assert evaluate_gates(audit, evaluation, manifest)[0].status == "failed"


def test_without_evidence_no_gate_passes():
    bare = AuditReport(
        rows={"train": 1, "test": 1}, positives={}, findings=(), columns=(), split={}, statistics={}
    )
    assert set(statuses(bare, {}, {}).values()) == {"not checked"}


@pytest.mark.parametrize(
    ("which", "path", "gate"),
    [
        (0, "leak", "F1"), (0, "split", "F1"), (2, "files", "F4"), (2, "parity", "F4"), (2, "files", "F5"),
        (0, "statistics", "F8"), (0, "statistics", "F9"), (2, "provenance", "F10"),
    ],
)  # fmt: skip
def test_what_is_missing_is_not_checked(which: int, path: str, gate: str):
    contents = copy.deepcopy(evidence())
    contents[which][path] = None if path in ("leak", "provenance") else {}
    assert statuses(*contents)[gate] == "not checked"


def test_a_run_outside_a_repository_is_not_checked():
    audit, evaluation, manifest = copy.deepcopy(evidence())
    evaluation["provenance"]["git_commit"] = None
    assert statuses(audit, evaluation, manifest)["F6"] == "not checked"


def test_uncommitted_changes_are_told():
    audit, evaluation, manifest = copy.deepcopy(evidence())
    evaluation["provenance"]["git_dirty"] = True
    gate = evaluate_gates(audit, evaluation, manifest)[5]
    assert gate.status == "passed"
    assert "with uncommitted changes" in gate.evidence


def test_the_names_that_gates_look_for_are_names_that_checks_give():
    """A gate that waits for a name that nobody gives would always pass."""
    import inspect

    from tocsin.audit import contents, foreign, leakage, origins, values
    from tocsin.audit.gates import FOREIGN, SILENT, STRADDLING

    source = "".join(map(inspect.getsource, (contents, foreign, leakage, origins, values)))
    assert not [name for name in FOREIGN | SILENT | STRADDLING if f'"{name}"' not in source]
    assert len(GATES) == 10
    assert len(set(CHECKS)) == len(CHECKS)


def test_a_real_audit_is_read():
    report = Made(flows(70)).audit()
    _, evaluation, manifest = evidence()
    evaluation["models"]["net"]["rows"] = report.rows["test"]
    found = statuses(report, evaluation, manifest)
    assert found["F1"] == found["F8"] == found["F9"] == "passed"
