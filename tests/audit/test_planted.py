"""Six planted defects are each caught by name; ten clean sets raise neither an error nor a warning."""

from dataclasses import replace

import numpy as np
import pytest

from audit.made import Made, clean, flows, messages, texts
from data.writing import copy
from tocsin.core.recipe import SplitSection
from tocsin.data.dataset import Dataset
from truths import relabel


@pytest.mark.parametrize("number", range(10))
def test_a_clean_set_raises_no_alarm(number: int):
    report = clean(number).audit()
    assert [f"{f.severity} {f.name}: {f.message}" for f in report.findings if f.severity != "info"] == []
    assert report.leak is not None


def change(dataset: Dataset, index: np.ndarray, **columns) -> Dataset:
    changed = {name: values.copy() for name, values in dataset.columns.items()}
    for name, values in columns.items():
        changed[name][index] = values
    return replace(dataset, columns=changed)


def pick(dataset: Dataset, rng: np.random.Generator, share: float, label: int | None = None) -> np.ndarray:
    known = np.flatnonzero(dataset.label == label) if label is not None else np.arange(len(dataset))
    return rng.choice(known, int(share * len(dataset)), replace=False)


def plant_foreign_rows(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """A block of rows of another program, all of them called attacks, that fill in what it does not measure."""
    block = np.arange(400, 520)
    label = dataset.label.copy()
    label[block] = 1
    same = {name: values[400] for name, values in dataset.columns.items() if name != "rate"}
    return relabel(change(dataset, block, **same), label)


def plant_a_leaked_label(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """A code that was written down with the label in sight."""
    code = np.where(dataset.label == 1, "rule-7", "none")
    return replace(dataset, columns={**dataset.columns, "alert": texts(code)})


def plant_wrong_labels(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """One label in eleven turned over, in rows that are easy otherwise."""
    easy = {**dataset.columns, "score": dataset.label * 2.0 + rng.normal(0, 0.4, len(dataset))}
    label = dataset.label.copy()
    label[pick(dataset, rng, 0.09)] ^= 1
    return relabel(replace(dataset, columns=easy), label)


def plant_broken_characters(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    rows = pick(dataset, rng, 0.03)
    said = [f"{dataset.columns['message'][i]} não há café".encode().decode("latin-1") for i in rows]
    return change(dataset, rows, message=said)


def plant_a_secret(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    key = "AKIA" + "JQ2B7XEXAMPL3ZWN"
    return change(dataset, np.array([77]), message=f"{dataset.columns['message'][77]} the key is {key}")


def plant_one_class_files(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """Each class out of a file of its own."""
    return replace(dataset, source=texts(np.where(dataset.label == 1, "attacks.csv", "normal.csv")))


@pytest.mark.parametrize(
    ("made", "defect", "severity", "name", "words"),
    [
        (flows(20), plant_foreign_rows, "warning", "constant rows", "120 rows in a row (a.csv:400 to a.csv:519)"),
        (flows(21), plant_a_leaked_label, "error", "shortcut", "alert 1.0000"),
        (flows(22, rows=5000), plant_wrong_labels, "warning", "label noise", "of the labels may be wrong"),
        (messages(23), plant_broken_characters, "warning", "mojibake", "48 of 1,600 rows have broken"),
        (messages(24), plant_a_secret, "error", "secrets", "AWS key id"),
        (flows(25), plant_one_class_files, "error", "metadata shortcut", "file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_planted_defect_is_caught_by_name(made, defect, severity, name, words):
    report = Made(made).plant(defect).audit()
    found = [f for f in report.findings if (f.severity, f.name) == (severity, name)]
    assert any(words in finding.message for finding in found), report.findings
    before = {f.name for f in Made(made).audit().findings if f.severity != "info"}
    assert name not in before, "the same rows without the defect"


def test_copies_that_straddle_are_errors_when_the_splitter_is_told_to_ignore_them():
    def plant_copies(dataset: Dataset, rng: np.random.Generator) -> Dataset:
        return change(
            dataset, np.arange(300), message=[copy(t, rng) for t in dataset.columns["message"][600:900]]
        )

    safe = Made(messages(26)).plant(plant_copies)
    blind = replace(safe, stated=replace(safe.stated, split=SplitSection(near_duplicates=False)))
    names = {f.name: f for f in blind.audit().findings if f.severity == "error"}
    assert "near-duplicates across the split" in names
    assert len(names["near-duplicates across the split"].rows) == 5
    assert not [f for f in safe.audit().findings if f.severity == "error"]
