"""Every check with its fault and without: one that never speaks proves nothing, nor one that always does."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from audit.made import Made, flows, messages, texts
from tocsin.audit.sides import Sides, Stated
from tocsin.audit.tables import CHECKS
from tocsin.audit.tables import audit as run_audit
from tocsin.core.recipe import SourceSection, SplitSection
from tocsin.data.dataset import Dataset
from tocsin.data.splits import split
from truths import relabel

FLOWS, MESSAGES, TEST = flows(50), messages(51), flows(52, rows=800, name="test.csv")
LABEL = FLOWS.label


def with_columns(dataset: Dataset, **columns) -> Dataset:
    return replace(dataset, columns={**dataset.columns, **columns})


def put(dataset: Dataset, rows: object, **columns) -> Dataset:
    changed = {name: values.copy() for name, values in dataset.columns.items()}
    for name, values in columns.items():
        changed[name][rows] = values
    return replace(dataset, columns=changed)


def state(**changes) -> Stated:
    return replace(Made(FLOWS).stated, **changes)


def described(**sources: str) -> Stated:
    known = {f"{n}.csv": SourceSection(licence="CC0", origin=origin) for n, origin in sources.items()}
    return state(sources=known)


def two_files(dataset: Dataset) -> Dataset:
    return replace(dataset, source=texts(np.where(np.arange(len(dataset)) < 1000, "a.csv", "b.csv")))


def other_units(dataset: Dataset) -> Dataset:
    """One of two files in milliseconds, bits and the like."""
    rows = dataset.source == "b.csv"
    return put(
        dataset,
        rows,
        **{n: dataset.columns[n][rows] * 1e6 + 1e7 for n in ("seconds", "bytes", "rate", "jitter")},
    )


def filled_in(dataset: Dataset) -> Dataset:
    """One of two files says the same in all columns but one."""
    rows = dataset.source == "b.csv"
    return put(dataset, rows, **{n: v[0] for n, v in dataset.columns.items() if n != "rate"})


def scattered(dataset: Dataset) -> Dataset:
    """The same row forty times, here and there."""
    rows = np.arange(0, 1600, 40)
    return put(dataset, rows, **{n: v[0] for n, v in dataset.columns.items()})


def nothing(dataset: Dataset) -> Dataset:
    rows = [5, 500]
    return put(dataset, rows, **{n: None if v.dtype == object else 0.0 for n, v in dataset.columns.items()})


def longer(dataset: Dataset) -> Dataset:
    """Positives that say everything five times."""
    said = [t * 5 if y else t for t, y in zip(dataset.columns["message"], dataset.label, strict=True)]
    return with_columns(dataset, message=texts(said))


def one_word(dataset: Dataset) -> Dataset:
    said = [
        f"{t} {'verify' if y else 'regards'}"
        for t, y in zip(dataset.columns["message"], dataset.label, strict=True)
    ]
    return with_columns(dataset, message=texts(said))


def say(dataset: Dataset, rows: object, text: str | None) -> Dataset:
    return put(dataset, rows, message=text)


def with_test(test: Dataset, dataset: Dataset = FLOWS, stated: Stated | None = None) -> Made:
    return Made(dataset, test, stated or state())


def later(dataset: Dataset) -> Dataset:
    """A test from a network where everything takes three times as long."""
    return put(dataset, slice(None), seconds=dataset.columns["seconds"] * 6, rate=dataset.columns["rate"] / 6)


CASES: list[tuple[str, str, str, Made, Made]] = [
    ("warning", "numbers kept as text", "port holds numbers",
     Made(with_columns(FLOWS, port=texts(str(n % 97) for n in range(1600)))),
     Made(with_columns(FLOWS, port=texts(f"p{n % 97}" for n in range(1600))))),
    ("warning", "spellings", "'HTTP ' = 'http'", Made(put(FLOWS, slice(0, 90), service="HTTP ")), Made(FLOWS)),
    ("warning", "constant rows", "40 of 1,600 rows are one and the same row", Made(scattered(FLOWS)), Made(FLOWS)),
    ("error", "empty rows", "2 of 1,600 rows hold nothing", Made(nothing(FLOWS)), Made(FLOWS)),
    ("error", "foreign rows", "b.csv (600 rows): seconds lies outside all else",
     Made(other_units(two_files(FLOWS))), Made(two_files(FLOWS))),
    ("error", "foreign rows", "b.csv (600 rows): seconds holds one value here",
     Made(filled_in(two_files(FLOWS))), Made(two_files(FLOWS))),
    ("warning", "duplicates", "repeat the features of an earlier one",
     Made(FLOWS.take(np.concatenate([np.arange(1200), np.arange(400)]))), Made(FLOWS)),
    ("error", "length shortcut", "the number of characters in message", Made(longer(MESSAGES)), Made(MESSAGES)),
    ("warning", "bag-of-words shortcut", "the words of message", Made(one_word(MESSAGES)), Made(MESSAGES)),
    ("error", "best single word shortcut", "the word 'regards'", Made(one_word(MESSAGES)), Made(MESSAGES)),
    ("warning", "metadata shortcut", "jitter missing",
     Made(put(FLOWS, LABEL == 1, jitter=np.nan).take(np.arange(1600))),
     Made(put(FLOWS, np.arange(1600) % 2 == 1, jitter=np.nan))),
    ("warning", "distribution shift", "a model tells test rows from training rows",
     with_test(later(TEST)), with_test(TEST)),
    ("warning", "class prior", "in use 0.10% will be",
     Made(FLOWS, stated=state(prior=0.001)), Made(FLOWS, stated=state(prior=0.3))),
    ("warning", "one-class slices", "b.csv (600 rows, all negative)",
     Made(relabel(two_files(FLOWS), np.where(np.arange(1600) < 1000, LABEL, 0))), Made(two_files(FLOWS))),
    ("warning", "one-class slices", "each language with one class only: en",
     Made(put(MESSAGES, MESSAGES.label == 1, language="pt")), Made(MESSAGES)),
    ("warning", "blank texts", "say nothing in message",
     Made(say(MESSAGES, np.arange(0, 1600, 40), "  ")), Made(MESSAGES)),
    ("error", "secrets", "private key",
     Made(say(MESSAGES, 9, "-----BEGIN PRIVATE " + "KEY-----\n" + "MIIEvQIBADANBgkq" * 9)), Made(MESSAGES)),
    ("warning", "personal data", "e-mail address in 3 rows, payment card in 1 rows",
     Made(say(say(MESSAGES, [1, 2, 3], "write to joana.reis@correio.pt please, she knows all of it"), 4,
              "pay with 4111 1111 1111 1111 before the end of this week or lose it")), Made(MESSAGES)),
    ("info", "mojibake", "1 of 1,600 rows",
     Made(say(MESSAGES, 7, "nÃ£o hÃ¡ cafÃ© para a reuniÃ£o de amanhÃ£ na sala")), Made(MESSAGES)),
    ("warning", "undescribed sources", "whether made or real: a.csv",
     Made(FLOWS, stated=Stated()), Made(FLOWS, stated=described(a="real"))),
    ("warning", "undescribed sources", "no file is called so: b.csv",
     Made(FLOWS, stated=described(a="real", b="real")), Made(FLOWS, stated=described(a="real"))),
    ("warning", "made rows in the test", "800 of 800 test rows were made by a program (test.csv)",
     with_test(TEST, stated=described(a="real", test="made")),
     with_test(TEST, stated=described(a="made", test="real"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "name", "words", "faulty", "sound"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_the_fault_is_named_and_only_the_fault(severity, name, words, faulty: Made, sound: Made):
    check = CHECK_OF[name]
    found = [f for f in check(sides_of(faulty)) if (f.severity, f.name) == (severity, name)]
    assert any(words in f.message for f in found), list(check(sides_of(faulty)))
    silent = [f for f in check(sides_of(sound)) if f.name == name and f.severity == severity]
    assert silent == []


def sides_of(made: Made) -> Sides:
    (fold,) = split(made.dataset, made.stated.split, made.official)
    return Sides(made.dataset, fold, made.official, made.stated)


def check_named(text: str) -> Callable:
    return next(check for check in CHECKS if check.__name__ == f"check_{text}")


CHECK_OF = {
    "numbers kept as text": check_named("types"),
    "spellings": check_named("types"),
    "constant rows": check_named("constant_rows"),
    "empty rows": check_named("empty_rows"),
    "foreign rows": check_named("foreign_sources"),
    "duplicates": check_named("duplicates"),
    "length shortcut": check_named("shortcuts"),
    "bag-of-words shortcut": check_named("shortcuts"),
    "best single word shortcut": check_named("shortcuts"),
    "metadata shortcut": check_named("shortcuts"),
    "distribution shift": check_named("shift"),
    "class prior": check_named("prior"),
    "one-class slices": check_named("slices"),
    "blank texts": check_named("blanks"),
    "secrets": check_named("secrets"),
    "personal data": check_named("personal_data"),
    "mojibake": check_named("mojibake"),
    "undescribed sources": check_named("sources"),
    "made rows in the test": check_named("sources"),
}


def test_what_is_found_in_texts_is_not_repeated():
    """D5: a report must not hold what it warns of."""
    key, mail = "AKIA" + "JQ2B7XEXAMPL3ZWN", "joana.reis@correio.pt"
    made = Made(say(MESSAGES, 7, f"my key is {key}, write to {mail} if it does not open the door any more"))
    text = made.audit().model_dump_json()
    assert key not in text
    assert mail not in text
    assert "AKIA… (20 characters)" in text
    assert "a.csv:7" in text


def test_a_test_of_other_fields_is_an_error():
    (fold,) = split(FLOWS, SplitSection(), TEST)
    assert not list(check_named("schema")(Sides(FLOWS, fold, TEST)))
    other = with_columns(TEST, state=np.arange(800.0))
    (found,) = check_named("schema")(Sides(FLOWS, fold, other))
    assert (found.severity, found.name) == ("error", "schema")
    assert found.message == "training and test do not agree on: state"


def test_a_group_on_two_sides_is_an_error_and_of_a_published_test_a_warning():
    group = texts(f"host-{i % 40}" for i in range(1600))
    section = SplitSection(group="host")
    rows = replace(FLOWS, group=group)
    (safe,) = split(rows, section)
    assert not list(check_named("groups")(Sides(rows, safe, None, state(split=section))))
    (blind,) = split(FLOWS, SplitSection())
    (valid, test) = check_named("groups")(Sides(rows, blind, None, state(split=section)))
    assert {valid.severity, test.severity} == {"error"}
    official = replace(TEST, group=group[:800])
    (fold,) = split(rows, section, official)
    (only,) = [
        f
        for f in check_named("groups")(Sides(rows, fold, official, state(split=section)))
        if "test" in f.message
    ]
    assert only.severity == "warning"


def test_training_on_what_is_newer_than_the_test_is_an_error():
    clock = np.arange(1600.0)
    rows, section = replace(FLOWS, time=clock), SplitSection(time="t")
    (safe,) = split(rows, section)
    assert not list(check_named("time")(Sides(rows, safe, None, state(split=section))))
    (shuffled,) = split(rows, SplitSection())
    (found,) = check_named("time")(Sides(rows, shuffled, None, state(split=section)))
    assert found.severity == "error"
    assert not list(check_named("time")(Sides(rows, shuffled, None, state()))), (
        "nobody asked for a split in time"
    )


def test_clusters_that_reach_into_the_past_are_told_and_excused():
    rows = replace(
        FLOWS,
        time=np.arange(1600.0),
        group=texts(f"host-{i % 400}" if i > 1100 else f"old-{i}" for i in range(1600)),
    )
    section = SplitSection(time="t", group="host")
    (fold,) = split(rows, section)
    found = list(check_named("time")(Sides(rows, fold, None, state(split=section))))
    assert [f.severity for f in found] == ["info"]
    assert "kept whole on the side of training" in found[0].message


def test_few_rows_are_audited_without_a_word_about_what_they_cannot_show():
    tiny = FLOWS.take(np.arange(40))
    (fold,) = split(tiny, SplitSection())
    report = run_audit(tiny, fold, None, state())
    assert report.leak is None
    assert report.statistics["label_noise"] is None
    assert all(s.roc_auc is None for s in report.shortcuts)


def test_rows_of_one_class_are_audited():
    rows = relabel(FLOWS, np.zeros(1600))
    (fold,) = split(rows, SplitSection())
    report = run_audit(rows, fold, None, state())
    assert ("error", "class balance") in {(f.severity, f.name) for f in report.findings}
    assert report.leak is None
