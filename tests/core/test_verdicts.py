"""Logits to verdicts."""

import numpy as np
import pytest

from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import LOGIT, Head
from tocsin.core.verdicts import decode as decode_outputs

CALIBRATION = Calibration(
    "attack", "normal", ("DoS", "Worms"), temperature=2.0, threshold=0.5, abstain_below=0.3
)


def decode(logits, calibration=CALIBRATION, **outputs):
    heads = (LOGIT, *(Head(name, "kinds", values.shape[1:]) for name, values in outputs.items()))
    named = {"logit": np.array(logits, dtype=np.float32), **outputs}
    return decode_outputs(named, Asked({}, {}, heads), calibration, "digest")


def test_probability_is_the_sigmoid_of_the_tempered_logit():
    logits = np.linspace(-30, 30, 61)
    expected = 1 / (1 + np.exp(-logits / 2))
    np.testing.assert_allclose([v.probability for v in decode(logits)], expected, rtol=1e-12)


def test_extreme_logits_stay_in_range_without_a_warning():
    big = float(np.finfo(np.float32).max)
    assert [v.probability for v in decode([-big, big], Calibration("a", "n", temperature=0.01))] == [0.0, 1.0]


def test_labels_threshold_and_abstention():
    verdicts = decode([-4.0, -1.0, 0.0, 3.0])
    assert [(v.label, v.abstain) for v in verdicts] == [
        ("normal", False), ("normal", True), ("attack", False), ("attack", False),
    ]  # fmt: skip
    assert {(v.threshold, v.artifact) for v in verdicts} == {(0.5, "digest")}
    assert not any(v.abstain for v in decode([-1.0], Calibration("attack", "normal")))


def test_the_category_is_that_of_a_positive():
    scores = np.array([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0]], dtype=np.float32)
    assert [v.category for v in decode([-5.0, 5.0, 5.0], category=scores)] == [None, "Worms", "DoS"]
    assert decode([5.0])[0].category is None
    assert decode([5.0], Calibration("attack", "normal"), category=scores[:1])[0].category is None


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_alone_equals_together(rows):
    rng = np.random.default_rng(0)
    logits, scores = rng.normal(0, 5, rows), rng.normal(size=(rows, 2))
    together = decode(logits, category=scores)
    assert together == [decode(logits[i : i + 1], category=scores[i : i + 1])[0] for i in range(rows)]
