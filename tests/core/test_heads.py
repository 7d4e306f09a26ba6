"""Heads: one place for probabilities, and each kind compared as it is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from tocsin.core.axes import Axis
from tocsin.core.heads import (
    LOGIT,
    Head,
    decision_of,
    difference,
    kinds_of,
    outputs_of,
    probability,
    shares,
    strength,
    to_scale,
    watched_of,
)

PLACES = Axis("places", "length")
HEADS = {
    "decision": LOGIT,
    "kinds": Head("category", "kinds", (3,)),
    "span": Head("span", "span", (PLACES, 2)),
    "tokens": Head("tokens", "tokens", (PLACES,)),
    "number": Head("number", "number"),
}
LOGITS = st.lists(st.floats(-900, 900), min_size=1, max_size=20)


@given(LOGITS, st.floats(0.1, 10))
def test_probabilities_are_scipys(logits: list[float], temperature: float) -> None:
    values = np.array(logits, dtype=np.float32)
    wide = values.astype(np.float64) / temperature
    np.testing.assert_allclose(probability(values, temperature), expit(wide), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(
        shares(values[None], temperature), softmax(wide[None], axis=1), rtol=1e-9, atol=1e-300
    )


def test_the_kind_says_how_values_are_read() -> None:
    values = np.array([[0.0, 2.0]])
    for kind, head in HEADS.items():
        found = to_scale(head, values)
        expected = {"kinds": softmax(values, axis=1), "number": values}.get(kind, expit(values))
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("kind", HEADS)
def test_a_difference_is_found(kind: str) -> None:
    one = np.array([[1.0, 2.0, 3.0]])
    other = one + np.array([[0.0, 0.0, 0.1]])
    assert difference(HEADS[kind], one, one) == 0
    assert difference(HEADS[kind], one, other) > 1e-4
    assert difference(HEADS[kind], one[:0], other[:0]) == 0


def test_of_large_numbers_the_relative_difference_counts() -> None:
    one, other = np.array([1e6]), np.array([1e6 + 1])
    assert difference(HEADS["number"], one, other) == pytest.approx(1e-6)


def test_what_is_not_a_number_is_a_difference() -> None:
    assert np.isnan(difference(LOGIT, np.array([1.0]), np.array([np.nan])))


def test_a_sharper_temperature_widens_the_difference() -> None:
    one, other = np.array([0.1]), np.array([0.11])
    plain, sharp = (difference(LOGIT, one, other, temperature) for temperature in (1.0, 0.1))
    assert 2 * plain < sharp < 20 * plain


def test_heads_are_found_by_what_they_are() -> None:
    heads = tuple(HEADS.values())
    assert decision_of(heads) is LOGIT is watched_of(heads[::-1])
    assert kinds_of(heads) is HEADS["kinds"]
    assert kinds_of((LOGIT, Head("next", "kinds", (PLACES, 9)))) is None, (
        "one answer for each place is no kind"
    )
    assert watched_of((HEADS["number"],)) is HEADS["number"]
    assert list(
        outputs_of(heads[:2], {"category": np.zeros(1), "logit": np.zeros(1), "more": np.zeros(1)})
    ) == [
        "logit",
        "category",
    ]
    assert (LOGIT.answers, HEADS["kinds"].answers) == ("label", "category")


def test_the_strongest_place_speaks_for_a_row() -> None:
    assert strength(np.array([1.0, -2.0])).tolist() == [1.0, -2.0]
    assert strength(np.array([[[0.0, 3.0], [1.0, 2.0]]])).tolist() == [3.0]
