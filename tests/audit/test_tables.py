"""Each fault is planted in a healthy table and must be found; the healthy table must raise no alarm."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tocsin.audit.columns import single_auc
from tocsin.audit.description import describe_rows
from tocsin.audit.sides import Stated
from tocsin.audit.tables import audit
from tocsin.core.durable import json_bytes
from tocsin.core.recipe import SourceSection, SplitSection
from tocsin.data.dataset import BadRow, Dataset
from tocsin.data.splits import Fold
from truths import truths

ROWS = 600
FOLD = Fold(
    "main",
    train=np.arange(400),
    valid=np.arange(400, 500),
    test=np.arange(500, 600),
    fingerprint="f",
    facts={"naive_overlap": 0.4, "overlap": 0.0},
)


STATED = Stated(split=SplitSection(digits=9), sources={"*": SourceSection(licence="MIT", origin="real")})


def texts(values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def table(**changes):
    """A healthy table: two useful columns, neither of which tells the label by itself."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, ROWS)
    columns = {
        "bytes": rng.normal(label, 1.5),
        "proto": texts(rng.choice(["tcp", "udp", "icmp"], ROWS).tolist()),
    }
    columns |= changes.pop("columns", {})
    healthy = Dataset(
        columns=columns,
        truth=truths(label, ["dos" if v else "" for v in label]),
        ids=texts([f"a.csv:{i}" for i in range(ROWS)]),
        source=texts(["a.csv"] * ROWS),
    )
    if changes.keys() & {"label", "category"}:
        known = {"label": healthy.label, "category": healthy.category} | changes
        changes["truth"] = truths(known["label"], known["category"])
    return replace(healthy, **{k: v for k, v in changes.items() if k not in ("label", "category")})


def found(dataset, fold=FOLD, official=None):
    report = audit(dataset, fold, official, STATED)
    assert json.loads(json_bytes(report))["findings"] == [f.model_dump(mode="json") for f in report.findings]
    return {(finding.severity, finding.name): finding for finding in report.findings}


def test_a_healthy_table_raises_no_alarm():
    report = audit(table(), FOLD, stated=STATED)
    assert {f.severity for f in report.findings} == {"info"}
    assert report.failed == 0
    assert report.rows == {"train": 400, "valid": 100, "test": 100}
    assert "40.0%" in next(f for f in report.findings if f.name == "leak meter").message


def change(values, where, value):
    out = values.copy()
    out[where] = value
    return out


HEALTHY = table()
BYTES, PROTO = HEALTHY.columns["bytes"], HEALTHY.columns["proto"]


def copied(source, target):
    """Copy the features of one row to another."""
    return {name: change(values, target, values[source]) for name, values in HEALTHY.columns.items()}


OTHER_LABEL = int(np.flatnonzero(HEALTHY.label[:400] != HEALTHY.label[0])[0])
POSITIVE = int(np.flatnonzero(HEALTHY.label[550:] == 1)[0]) + 550
SAME_LABEL = int(np.flatnonzero(HEALTHY.label[500:] == HEALTHY.label[0])[0]) + 500


@pytest.mark.parametrize(
    ("dataset", "severity", "name", "text"),
    [
        (table(label=np.zeros(ROWS, dtype=int)), "error", "class balance", "0 of 400 train"),
        (table(label=np.ones(ROWS, dtype=int)), "error", "class balance", "400 of 400 train"),
        (table(label=(np.arange(ROWS) % 150 == 0).astype(int)), "warning", "class balance", "of 400 train"),
        (table(label=change(HEALTHY.label, [3, 4], -1)), "error", "labels", "2 train rows carry no label"),
        (
            table(columns={"bytes": change(BYTES, slice(0, 300), np.nan)}),
            "warning",
            "missing values",
            "bytes 75.0%",
        ),
        (table(columns={"proto": change(PROTO, 1, None)}), "info", "missing values", "proto 0.2%"),
        (table(columns={"bytes": change(BYTES, [1, 2], np.inf)}), "warning", "infinities", "bytes 2 rows"),
        (table(columns={"ttl": np.full(ROWS, 64.0)}), "warning", "constant columns", "ttl"),
        (table(columns={"x": texts([None] * ROWS)}), "warning", "constant columns", "x"),
        (table(columns=copied(0, SAME_LABEL)), "error", "duplicates across the split", "1 of 100 test"),
        (table(columns=copied(0, 1)), "info", "duplicates", "1 training rows"),
        (table(columns=copied(0, OTHER_LABEL)), "warning", "conflicting labels", "2 rows"),
        (table(columns={"url": texts([f"v{v}" for v in HEALTHY.label])}), "error", "shortcut", "url 1.0000"),
        (table(columns={"size": HEALTHY.label + 0.3 * BYTES}), "warning", "shortcut", "size 0.9"),
        (
            table(columns={"proto": change(PROTO, 550, "gre")}),
            "info",
            "unseen values",
            "proto .*: gre 1 rows",
        ),
        (table(category=change(HEALTHY.category, POSITIVE, "worm")), "info", "unseen kinds", "worm 1 rows"),
        (table(group=texts(["g"] * ROWS)), "error", "groups across the split", "100 valid rows"),
        (table(refused=(BadRow("a.csv", 7, "no bytes"),)), "warning", "refused rows", "1 rows were refused"),
        (table(repairs=(("infinite rate", 3),)), "info", "repairs", "infinite rate 3"),
    ],
)
def test_a_planted_fault_is_found(dataset, severity, name, text):
    every = [
        f for f in audit(dataset, FOLD, stated=STATED).findings if (f.severity, f.name) == (severity, name)
    ]
    assert any(re.search(text, finding.message) for finding in every), every


def test_one_value_in_nearly_all_rows(monkeypatch):
    dataset = table(columns={"ttl": change(np.zeros(ROWS), 0, 1.0)})
    assert ("info", "near-constant columns") not in found(dataset)  # 1 of 400 rows is not rare enough
    monkeypatch.setattr("tocsin.audit.values.NEARLY_CONSTANT", 0.99)
    assert "ttl 0.250%" in found(dataset)["info", "near-constant columns"].message


def test_examples_name_the_rows():
    finding = found(table(columns=copied(0, SAME_LABEL)))["error", "duplicates across the split"]
    assert finding.rows == (f"a.csv:{SAME_LABEL}",)
    conflict = found(table(columns=copied(0, OTHER_LABEL)))["warning", "conflicting labels"]
    assert set(conflict.rows) == {"a.csv:0", f"a.csv:{OTHER_LABEL}"}


def test_a_published_test_set_is_excused_but_named():
    fold = replace(FOLD, test=np.arange(400))
    findings = found(table(), fold, official=table())
    assert ("error", "duplicates across the split") not in findings
    assert "400 of 400 test rows" in findings["warning", "duplicates across the split"].message


def test_a_column_that_does_not_rise_with_the_label_is_caught():
    rng = np.random.default_rng(1)
    column = rng.normal(0, 1, 4000)
    label = (np.abs(column) > 0.7).astype(int)
    assert single_auc(column[:2000], label[:2000], column[2000:], label[2000:]) > 0.98
    noise = rng.normal(0, 1, 4000)
    assert abs(single_auc(noise[:2000], label[:2000], noise[2000:], label[2000:]) - 0.5) < 0.05
    assert single_auc(column, np.zeros(4000), column, label) is None


def test_missing_may_be_what_tells():
    label = np.arange(1000) % 2
    column = np.where(label == 1, np.nan, np.random.default_rng(2).normal(size=1000))
    assert single_auc(column[:500], label[:500], column[500:], label[500:]) == 1.0


def test_many_rare_texts_tell_nothing_about_others():
    """Negative control: judged on the rows it was counted on, an identifier would look perfect."""
    label = np.random.default_rng(3).integers(0, 2, 1000)
    names = texts([f"id{i}" for i in range(1000)])
    assert single_auc(names[:500], label[:500], names[500:], label[500:]) == 0.5
    assert single_auc(names, label, names, label) == 1.0


def test_statistics():
    dataset = table(
        columns={"bytes": change(BYTES, [0, 1], np.nan)},
        label=change(HEALTHY.label, 0, -1),
        refused=(BadRow("a.csv", 7, "no bytes"),),
        repairs=(("infinite rate", 3),),
    )
    found = describe_rows(dataset)
    assert json.loads(json_bytes(found)) == found
    assert sum(found["class_balance"].values()) == found["rows"] == ROWS
    assert found["class_balance"]["unlabelled"] == 1
    assert found["missing_values"] == {"bytes": 2, "proto": 0}
    assert (found["refused_rows"], found["repairs"]) == (1, {"infinite rate": 3})


def test_free_texts_are_not_listed_as_unseen_values() -> None:
    """A message is no name: all of them are unseen, and the report is no place to repeat them."""
    from tocsin.core.recipe import SplitSection
    from tocsin.data.dataset import Dataset
    from tocsin.data.splits import split

    texts = np.array([f"private message {i}" for i in range(300)], dtype=object)
    moods = np.array([f"mood {i // 30}" for i in range(300)], dtype=object)
    none = np.array([""] * 300, dtype=object)
    data = Dataset({"text": texts, "mood": moods}, truths(np.arange(300) % 2), texts, none)
    found = audit(data, split(data, SplitSection(group=None))[0])
    assert not [f for f in found.findings if f.name == "unseen values" and "text" in f.message]
