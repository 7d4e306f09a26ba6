"""Signatures of texts against the exact share of 5-grams."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.data.likeness import BANDS, BINS, GRAM, band_keys, fold, signatures

WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "rk", "st", "l")]


def jaccard(one: str, other: str) -> float:
    a, b = ({t[i : i + GRAM] for i in range(len(t) - GRAM + 1)} for t in (fold(one), fold(other)))
    return len(a & b) / len(a | b)


def pair(rng: random.Random, changed: float) -> tuple[str, str]:
    words = rng.choices(WORDS, k=150)
    other = [rng.choice(WORDS) if rng.random() < changed else word for word in words]
    return " ".join(words), " ".join(other)


@pytest.mark.parametrize("changed", [0.0, 0.02, 0.1, 0.3, 1.0])
def test_agreement_estimates_the_share_of_grams(changed: float) -> None:
    rng = random.Random(3)
    errors = []
    for _ in range(60):
        one, other = pair(rng, changed)
        a, b = signatures([one, other])
        errors.append((a == b).mean() - jaccard(one, other))
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) < 0.09  # sqrt(p (1 - p) / 64) is at most 0.0625


def test_likely_copies_share_a_band_and_strangers_do_not() -> None:
    rng = random.Random(4)
    shared = {}
    for changed in (0.02, 1.0):
        texts = [text for _ in range(100) for text in pair(rng, changed)]
        keys = np.stack(band_keys(signatures(texts)), axis=1)
        assert keys.shape == (200, BANDS)
        shared[changed] = np.mean((keys[::2] == keys[1::2]).any(axis=1))
    assert shared[0.02] >= 0.99
    assert shared[1.0] <= 0.02


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Your PARCEL 123, is here!", "your parcel 98765 is here"),
        ("ｆｕｌｌ width", "full width"),
        ("", None),
    ],
)
def test_what_makes_no_difference(one: str, other: str | None) -> None:
    a, b = signatures([one, other])
    assert (a == b).all()


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_has_a_signature_of_its_own(texts: list[str]) -> None:
    together = signatures(texts)
    assert together.shape == (len(texts), BINS)
    for place, text in enumerate(texts):
        assert (signatures([text])[0] == together[place]).all()
