"""The evasion suite measures what it says: a filter for exact words loses, one that folds does not."""

import random

import numpy as np
import pytest

from tocsin.core.errors import InputError
from tocsin.detectors.phishing.evasion import ATTACKS, hide_in_markup, measure_evasion
from tocsin.detectors.phishing.features.folding import fold

TEXTS = ["please verify your account password today"] * 40
HAM = ["see you at dinner"]


def exact(texts: list[str]) -> np.ndarray:
    return np.array([float("verify your account" in text) for text in texts])


def test_a_filter_for_exact_words_loses() -> None:
    found = measure_evasion(exact, TEXTS, HAM, 0.5)
    assert (
        {"homoglyph", "zero-width", "html hiding", "ham padding"} <= found.keys() == {*ATTACKS, "ham padding"}
    )
    assert all(found[name].lost > 0.8 for name in ("homoglyph", "zero-width", "html hiding"))
    assert found["ham padding"].lost == 0


def test_one_that_folds_does_not() -> None:
    found = measure_evasion(lambda texts: exact([fold(text) for text in texts]), TEXTS, HAM, 0.5)
    assert found["zero-width"].lost == 0
    assert found["html hiding"].lost == 0
    assert found["homoglyph"].lost < 0.5


def test_a_score_that_padding_dilutes_is_caught() -> None:
    found = measure_evasion(lambda texts: np.array([60 / max(60, len(t)) for t in texts]), TEXTS, HAM, 0.8)
    assert found["ham padding"].lost == 1


def test_markup_is_what_a_reader_does_not_see() -> None:
    assert fold(hide_in_markup(TEXTS[0], random.Random(0))) == TEXTS[0]


def test_it_is_the_same_for_the_same_seed_and_needs_both_sides() -> None:
    assert measure_evasion(exact, TEXTS, HAM, 0.5, 3) == measure_evasion(exact, TEXTS, HAM, 0.5, 3)
    with pytest.raises(InputError, match="both are needed"):
        measure_evasion(exact, TEXTS, [], 0.5)
