"""Fields that are sequences are audited by their size, and by the texts in them."""

import numpy as np
import pytest

from audit.made import Made, rows_of
from tocsin.audit.columns import single_auc
from tocsin.audit.findings import AuditReport
from tocsin.audit.probe import fit_probe
from tocsin.core.errors import InputError
from tocsin.core.types import column
from tocsin.data.texts import find_texts, spoken, text_columns

ROWS = 600
SECRET = "AKIA" + "JQ2B7XEXAMPL3ZWN"


def sequences(values) -> np.ndarray:
    return column(list(values), numeric=False)


def graphs(telling: bool, parts: tuple[str, ...] = ()) -> Made:
    """Rows with numbers and words of unlike number; where it tells, positives have twice as many."""
    rng = np.random.default_rng(0)
    label = np.arange(ROWS) % 2
    size = rng.integers(2, 12, ROWS) + 12 * label * telling
    nodes = sequences(tuple(rng.integers(0, 1_000, n).tolist()) for n in size)
    words = sequences((f"w{i}", *parts) for i in range(ROWS))
    return Made(rows_of({"nodes": nodes, "words": words, "level": rng.normal(size=ROWS)}, label))


def named(report: AuditReport, name: str) -> list[str]:
    return [finding.message for finding in report.findings if finding.name == name]


def test_a_size_that_tells_the_label_is_a_shortcut():
    telling, plain = graphs(True).audit(), graphs(False).audit()
    assert any("nodes 1.0000" in message for message in named(telling, "shortcut"))
    assert not named(plain, "shortcut")
    assert {c.name: c.kind for c in plain.columns} == {
        "nodes": "sequence", "words": "sequence", "level": "number"
    }  # fmt: skip
    assert {shift.name for shift in plain.shift} == {"nodes (size)", "words (size)", "level"}


def test_a_probe_sees_the_size_and_no_more():
    made = graphs(True).dataset
    probe = fit_probe({"nodes": made.columns["nodes"]}, made.label)
    other = sequences(tuple(range(n)) for n in (3, 20))
    low, high = probe.predict({"nodes": other})
    assert low < 0.2 < 0.8 < high
    assert single_auc(made.columns["nodes"], made.label, other, np.array([0, 1])) == 1.0


def test_a_secret_among_texts_of_a_sequence_is_found():
    assert named(graphs(False, (SECRET,)).audit(), "secrets")
    assert not named(graphs(False).audit(), "secrets")


def test_rows_of_empty_sequences_hold_nothing():
    columns = {name: sequences([()] * 10 + [(i, i + 1) for i in range(590)]) for name in "abcd"}
    (message,) = named(Made(rows_of(columns, np.arange(600) % 2)).audit(), "empty rows")
    assert "10 of 600 rows hold nothing" in message


def test_a_sequence_is_no_text_however_long():
    long = sequences(tuple(range(i, i + 60)) for i in range(50))
    text = sequences(f"{i} words that somebody wrote down at length" for i in range(50))
    columns = {"long": long, "text": text, "none": sequences([None] * 50)}
    assert find_texts(columns) == ["text"]
    assert text_columns(columns) == ["text", "none"]
    with pytest.raises(InputError, match="no text column 'long'"):
        find_texts(columns, ("long",))


def test_what_a_sequence_says():
    assert spoken(sequences([("a", ("b", 3)), (), None])).tolist() == ["a\nb", None, None]
    assert spoken(sequences([(1, 2)])).tolist() == [None]
    assert spoken(sequences(["a", None])).tolist() == ["a", None]
