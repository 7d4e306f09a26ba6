"""A column is described by numbers: quantiles, shares and lengths, and names only where it holds names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.types import column
from tocsin.monitor.columns import describe_column


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=60))
def test_numbers(values):
    found = describe_column(column(values, numeric=True))
    present = [v for v in values if v is not None]
    assert (found.kind, found.count) == ("number", len(values))
    assert found.missing == pytest.approx(1 - len(present) / max(len(values), 1))
    if present:
        assert found.mean == pytest.approx(np.mean(present), abs=1e-6)
        assert found.std == pytest.approx(np.std(present), abs=1e-6)
        assert found.quantiles == tuple(np.quantile(present, np.linspace(0, 1, 21)).tolist())
    else:
        assert (found.mean, found.std, found.quantiles) == (None, None, ())


def test_infinities_are_missing():
    found = describe_column(np.array([1.0, np.inf, 3.0]))
    assert (found.mean, found.missing) == (2.0, pytest.approx(1 / 3))


def test_what_no_number_can_hold_is_none():
    found = describe_column(np.array([-1.7e308, 1.7e308, 1.7e308]))
    assert found.std is None
    assert (found.quantiles[0], found.quantiles[-1]) == (-1.7e308, 1.7e308)


@given(st.lists(st.one_of(st.none(), st.sampled_from("abc")), max_size=60))
def test_texts(values):
    found = describe_column(column(values, numeric=False))
    present = [v for v in values if v is not None]
    assert (found.kind, found.count) == ("text", len(values))
    assert found.missing == pytest.approx(1 - len(present) / max(len(values), 1))
    assert found.top == pytest.approx({v: present.count(v) / len(present) for v in set(present)})
    assert found.other == pytest.approx(0)


def test_many_texts_keep_the_frequent_ones():
    values = [f"v{i:03d}" for i in range(100)] + ["often"] * 300
    found = describe_column(column(values, numeric=False))
    assert next(iter(found.top.items())) == ("often", 0.75)
    assert (found.distinct, len(found.top)) == (101, 50)
    assert found.other + sum(found.top.values()) == pytest.approx(1)


@pytest.mark.parametrize("words", ["Dear Zuleika, your account 4711 at the bank is closed", "hello Zuleika"])
def test_nothing_of_a_free_text_is_kept_but_numbers(words):
    values = [f"{words} {i}" for i in range(200)] + [words] * 150 + ["密码 Пароль", None]
    found = describe_column(column(values, numeric=False))
    assert found.kind == "free text"
    text = found.model_dump_json()
    assert not [word for word in ["Zuleika", "account", "hello", "4711", "密码", "Пароль"] if word in text]
    assert (found.count, found.distinct) == (352, 202)
    assert found.missing == pytest.approx(1 / 352)
    assert found.characters[-1] == len(words) + 4
    assert found.characters[0] == len("密码 Пароль")
    assert sum(found.scripts.values()) == pytest.approx(1)
    assert set(found.scripts) == {"latin", "han", "cyrillic"}
    assert found.scripts["latin"] > 0.99
    assert found.per_hundred_characters.keys() == {"digits", "capitals", "signs", "lines"}
    assert 0 < found.per_hundred_characters["digits"] < 50


@given(st.lists(st.none() | st.lists(st.floats(-1e6, 1e6), max_size=5), min_size=1, max_size=30))
def test_sequences_have_lengths_and_numbers(values):
    found = describe_column(column(values, numeric=False))
    present = [v for v in values if v is not None]
    if not present:
        assert found.kind == "text"  # nothing says what the column would hold
        return
    assert (found.kind, found.count) == ("sequence", len(values))
    assert found.missing == pytest.approx(1 - len(present) / len(values))
    assert (found.lengths[0], found.lengths[-1]) == (min(map(len, present)), max(map(len, present)))
    every = [number for value in present for number in value]
    if not every:
        assert found.numbers is None
        return
    assert found.numbers.count == len(every)
    assert (found.numbers.quantiles[0], found.numbers.quantiles[-1]) == (min(every), max(every))


def test_no_text_of_a_sequence_is_kept():
    found = describe_column(column([("Zuleika", "bank"), ("Zuleika",)] * 50, numeric=False))
    assert (found.kind, found.numbers, found.lengths[-1]) == ("sequence", None, 2)
    assert "Zuleika" not in found.model_dump_json()
