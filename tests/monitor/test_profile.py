"""The profile is written and read without a loss, holds finite numbers, and keeps no word of a text."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from tocsin.core.axes import Axis
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.errors import InputError
from tocsin.core.heads import LOGIT, Head
from tocsin.core.types import column
from tocsin.monitor.heads import Answers
from tocsin.monitor.profile import FEW, SAMPLED, Observed, dump_profile, parse_profile, profile

PLACES = Axis("places", length="length")
HEADS = (
    LOGIT,
    Head("kind", "kinds", (2,)),
    Head("spans", "span", (PLACES, 2)),
    Head("marks", "tokens", (PLACES,)),
    Head("age", "number"),
)
WORD = "Zuleika"

LETTERS = 'aZ09 é密🐚\n\t"\\\x00\x1f\u2028\ufffe'
texts = st.none() | st.text(LETTERS, max_size=50)
kinds = [
    st.floats(),
    st.sampled_from(["tcp", "udp", None]),
    texts,
    st.none() | st.lists(st.integers(-9, 9) | st.floats(), max_size=3).map(tuple),
    st.none() | st.lists(st.text(LETTERS, max_size=3), max_size=3).map(tuple),
]


@st.composite
def rows(draw) -> Observed:
    """Any columns, with an output of each kind of head for them."""
    count = draw(st.integers(0, 30))

    def values(kind):
        return draw(st.lists(kind, min_size=count, max_size=count))

    columns = {f"c{i}": column(values(kind), numeric=i == 0) for i, kind in enumerate(kinds)}
    numbers = np.random.default_rng(draw(st.integers(0, 9)))
    shapes = {"logit": (), "kind": (2,), "spans": (4, 2), "marks": (4,), "age": ()}
    outputs = {n: numbers.normal(0, 3, (count, *s)).astype(np.float32) for n, s in shapes.items()}
    how = Calibration("bad", "good", ("a", "b"), 1.5, 0.7, 0.4, "c1", {"tcp": 0.9})
    asked = Asked(columns, {"length": numbers.integers(0, 5, count)}, HEADS)
    facets = {"source": columns["c1"], "note": columns["c2"]}
    return Observed(Answers(outputs, asked, how), {"odd": columns["c0"]}, facets)


@given(rows())
def test_any_rows_are_read_as_they_were_written(observed):
    found = profile(observed)
    raw = dump_profile(found)
    assert parse_profile(raw) == found
    assert dump_profile(parse_profile(raw)) == raw
    json.loads(raw, parse_constant=pytest.fail)  # NaN and infinities
    assert set(found.columns) == set(observed.columns)
    assert {name: head.kind for name, head in found.heads.items()} == {h.name: h.kind for h in HEADS}


def made(count: int, **facets) -> Observed:
    rng = np.random.default_rng(0)
    columns = {
        "bytes": np.where(rng.random(count) < 0.2, np.nan, rng.lognormal(3, 2, count)),
        "proto": column(rng.choice(["tcp", "udp"], count).tolist(), numeric=False),
    }
    how = Calibration("bad", "good", threshold=0.7)
    answers = Answers({"logit": rng.normal(0, 2, count)}, Asked(columns, {}, (LOGIT,)), how)
    named = {name: column(values, numeric=False) for name, values in facets.items()}
    return Observed(answers, {"odd": rng.random(count)}, named)


def test_nothing_is_described_too():
    found = profile(Observed(Answers({}, Asked({}, {}, ()), Calibration("bad", "good"))))
    assert (found.rows, found.columns, found.reference.scores) == (0, {}, {})
    assert parse_profile(dump_profile(found)) == found


def test_a_difference_is_a_difference():
    """The control of the test above: equality would see a changed number."""
    few, more = (profile(made(count)) for count in (50, 51))
    assert parse_profile(dump_profile(few)) != more


@pytest.mark.parametrize("words", [f"{WORD}, your account at the bank is closed since", WORD])
def test_no_word_of_a_text_is_kept(words):
    told = [f"{words} {i % 300}" for i in range(400)]
    whole = made(400, note=told)
    columns = {
        **whole.columns,
        "text": column(told, numeric=False),
        "words": column([(word,) for word in told], numeric=False),
    }
    answers = replace(whole.answers, asked=Asked(columns, {}, whole.heads))
    found = profile(replace(whole, answers=answers))
    assert WORD.encode() not in dump_profile(found)
    assert (found.columns["text"].kind, found.columns["words"].kind) == ("free text", "sequence")
    assert "note" not in found.slices


def test_the_search_for_a_word_finds_one():
    assert WORD.encode() in dump_profile(profile(made(400, note=[WORD, "other"] * 200)))


def test_slices_have_their_rows_and_decisions():
    observed = made(400, source=["a"] * 300 + ["b"] * (100 - FEW + 1) + ["c"] * (FEW - 1))
    found = profile(observed).slices
    assert {value: part.rows for value, part in found["source"].items()} == {"a": 300, "b": 100 - FEW + 1}
    probability = 1 / (1 + np.exp(-observed.answers.outputs["logit"][:300]))
    assert found["source"]["a"].decision.above == pytest.approx((probability >= 0.7).mean())
    assert found["source"]["a"].decision.probability.mean == pytest.approx(probability.mean())


@pytest.mark.parametrize(
    "values", [["same"] * 400, [f"v{i % 60}" for i in range(400)], [None] * 400], ids=["one", "many", "none"]
)
def test_what_does_not_divide_the_rows_is_no_slice(values):
    assert profile(made(400, source=values)).slices == {}


def test_the_field_with_thresholds_of_its_own_is_a_slice():
    observed = made(400)
    how = Calibration("bad", "good", threshold=0.7, sliced_by="proto", thresholds={"tcp": 0.0})
    answers = replace(observed.answers, calibration=how)
    found = profile(Observed(answers)).slices["proto"]
    assert found["tcp"].decision.above == 1
    assert found["udp"].decision.above < 0.5


def test_without_a_verdict_slices_have_rows_only():
    observed = made(40, source=["a", "b"] * 20)
    asked = replace(observed.answers.asked, heads=(Head("age", "number"),))
    answers = replace(observed.answers, outputs={"age": np.arange(40.0)}, asked=asked)
    found = profile(replace(observed, answers=answers))
    assert found.slices["source"]["a"].model_dump() == {"rows": 20, "decision": None}


def test_names_that_utf8_cannot_hold_are_written():
    observed = made(40, source=["a\udc80.csv", "b.csv"] * 20)
    found = profile(observed)
    assert set(found.slices["source"]) == {"a\\udc80.csv", "b.csv"}
    assert parse_profile(dump_profile(found)) == found


def test_the_reference_is_a_sample_of_the_rows():
    observed = made(3 * SAMPLED)
    found = profile(observed).reference
    odd, scores = found.watched["odd"], found.scores["logit"]
    assert len(odd) == len(scores) == len(found.columns["bytes"]) == SAMPLED
    probability = 1 / (1 + np.exp(-observed.answers.outputs["logit"]))
    place = {value: i for i, value in enumerate(observed.watched["odd"].tolist())}
    drawn = [place[value] for value in odd]
    assert scores == pytest.approx(probability[drawn])  # of the same rows
    assert len(set(drawn)) == SAMPLED
    assert max(drawn) > 2 * SAMPLED
    assert set(found.columns["bytes"]) < set(observed.columns["bytes"].tolist())


def test_columns_of_the_reference_are_no_rows():
    observed = made(3 * SAMPLED)
    values = profile(observed).reference.columns["bytes"]
    assert list(values) == sorted(values)


def test_the_same_rows_give_the_same_bytes():
    assert dump_profile(profile(made(2_000))) == dump_profile(profile(made(2_000)))


def broken(change) -> bytes:
    value = json.loads(dump_profile(profile(made(40, source=["a", "b"] * 20))))
    change(value)
    return json.dumps(value).encode()


def test_what_was_not_changed_is_read():
    assert parse_profile(broken(lambda value: None)).rows == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(schema_version=2), "schema_version 2, and 1 is read here: train the model again"),
        (lambda v: v.pop("schema_version"), "schema_version None"),
        (lambda v: v.update(more=1), "not valid: more"),
        (lambda v: v.pop("reference"), "not valid: reference"),
        (lambda v: v.update(rows="40"), "not valid: rows"),
        (lambda v: v["columns"]["bytes"].update(kind="colour"), "not valid: columns.bytes"),
        (lambda v: v["columns"]["bytes"].update(missing=1.5), "not valid: columns.bytes.number.missing"),
        (lambda v: v["heads"]["logit"].update(above=float("nan")), "not valid: heads.logit.decision.above"),
        (lambda v: v["reference"]["scores"]["logit"].pop(), "not valid: reference: "),
    ],
)
def test_what_was_changed_is_refused_in_one_line(change, said):
    with pytest.raises(InputError) as refused:
        parse_profile(broken(change))
    assert str(refused.value).startswith("profile.json ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"[1]", b"null"])
def test_what_is_no_profile_is_refused(raw):
    with pytest.raises(InputError, match=r"^profile\.json "):
        parse_profile(raw)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(place, byte):
    raw = bytearray(RAW)
    raw[place % len(raw)] = byte
    try:
        found = parse_profile(bytes(raw))
    except InputError:
        return
    assert parse_profile(dump_profile(found)) == found


RAW = dump_profile(profile(made(20)))


def test_two_samples_are_told_apart_only_where_they_differ():
    """Rows that are sorted, as by time: the first of them would not stand for all."""
    rng = np.random.default_rng(1)
    rejected = {"reference": 0, "first": 0, "moved": 0}
    for _ in range(60):
        values = np.sort(rng.normal(size=4 * SAMPLED))
        asked = Asked({"age": values}, {}, (Head("age", "number"),))
        answers = Answers({"age": values}, asked, Calibration("bad", "good"))
        found = profile(Observed(answers, {"age": values})).reference
        assert found.scores["age"] == found.watched["age"]
        later = rng.normal(size=500)
        samples = {"reference": found.scores["age"], "first": values[:SAMPLED], "moved": found.columns["age"]}
        for name, sample in samples.items():
            rejected[name] += ks_2samp(sample, later + (name == "moved") * 0.3).pvalue < 0.01
    assert rejected["reference"] <= 3
    assert rejected["first"] == rejected["moved"] == 60
