"""The profile says what the rows were, in plain JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.durable import json_bytes
from tocsin.core.types import column
from tocsin.monitor.profile import profile, profile_column, profile_score


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=60))
def test_numbers(values):
    found = profile_column(column(values, numeric=True))
    present = [v for v in values if v is not None]
    assert found["count"] == len(values)
    assert found["missing"] == pytest.approx(1 - len(present) / max(len(values), 1))
    if present:
        assert found["mean"] == pytest.approx(np.mean(present), abs=1e-6)
        assert found["std"] == pytest.approx(np.std(present), abs=1e-6)
        assert (found["quantiles"][0], found["quantiles"][-1]) == (min(present), max(present))
        assert len(found["quantiles"]) == 21
    else:
        assert found["mean"] is None


@given(st.lists(st.one_of(st.none(), st.sampled_from("abc")), max_size=60))
def test_texts(values):
    found = profile_column(column(values, numeric=False))
    present = [v for v in values if v is not None]
    assert found["missing"] == pytest.approx(1 - len(present) / max(len(values), 1))
    assert found["top"] == pytest.approx({v: present.count(v) / len(present) for v in set(present)})
    assert found["other"] == pytest.approx(0)


def test_many_texts_keep_the_frequent_ones():
    values = [f"v{i:03d}" for i in range(100)] + ["often"] * 300
    found = profile_column(column(values, numeric=False))
    assert next(iter(found["top"].items())) == ("often", 0.75)
    assert (found["distinct"], len(found["top"])) == (101, 50)
    assert found["other"] + sum(found["top"].values()) == pytest.approx(1)


@pytest.mark.parametrize("words", ["Dear Zuleika, your account 4711 at the bank is closed", "hello Zuleika"])
def test_nothing_of_a_free_text_is_kept_but_numbers(words):
    values = [f"{words} {i}" for i in range(200)] + [words] * 150 + ["密码 Пароль", None]
    found = profile_column(column(values, numeric=False))
    assert found["kind"] == "free text"
    text = json.dumps(found)
    assert not [word for word in ["Zuleika", "account", "hello", "4711", "密码", "Пароль"] if word in text]
    assert (found["count"], found["distinct"]) == (352, 202)
    assert found["missing"] == pytest.approx(1 / 352)
    assert found["characters"][-1] == len(words) + 4
    assert found["characters"][0] == len("密码 Пароль")
    assert sum(found["scripts"].values()) == pytest.approx(1)
    assert set(found["scripts"]) == {"latin", "han", "cyrillic"}
    assert found["scripts"]["latin"] > 0.99
    assert found["per_hundred_characters"]["links"] == 0


def test_infinities_are_missing():
    assert profile_column(np.array([1.0, np.inf, 3.0]))["mean"] == 2.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_scores(values):
    found = profile_score(np.array(values))
    assert sum(found["shares"]) == pytest.approx(1)
    assert len(found["edges"]) == len(found["shares"]) + 1 == 21


def test_the_whole_is_json():
    columns = {"bytes": column([1, None], numeric=True), "proto": column(["tcp", None], numeric=False)}
    found = profile(columns, np.array([0.1, 0.9]))
    assert json.loads(json_bytes(found)) == found
    assert found["rows"] == 2
    assert set(found["columns"]) == {"bytes", "proto"}
    assert profile({}, np.empty(0))["score"]["mean"] is None
