"""Label noise: told where it can be, and not invented where classes overlap."""

import numpy as np
import pytest

from tocsin.audit.noise import NOISY, weigh_labels

ROWS = 6000


def world(rng: np.random.Generator, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return true labels and the true probability of a positive, of two normal classes so far apart."""
    label = rng.integers(0, 2, ROWS)
    place = rng.normal(gap * label, 1)
    return label, 1 / (1 + np.exp(-gap * (place - gap / 2)))


def judged(label, probability):
    return weigh_labels(label, probability, np.array([f"r{i}" for i in range(ROWS)], dtype=object))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_labels_turned_over_in_easy_rows_are_counted(share: float, seed: int):
    rng = np.random.default_rng(seed)
    label, probability = world(rng, 5.0)
    wrong = rng.random(ROWS) < share
    found = judged(np.where(wrong, 1 - label, label), share + (1 - 2 * share) * probability)
    assert found.estimate == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("gap", [0.3, 0.8, 1.3, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_overlap_is_not_taken_for_noise(gap: float, seed: int):
    found = judged(*world(np.random.default_rng(seed), gap))
    assert found.estimate is None or found.estimate < NOISY
    assert found.disagreement > 0


def test_one_class_may_be_noisy_alone():
    rng = np.random.default_rng(1)
    label, probability = world(rng, 5.0)
    lost = (label == 1) & (rng.random(ROWS) < 0.15)
    found = judged(np.where(lost, 0, label), probability * 0.85)
    assert found.sure["positive"] == pytest.approx(0.15, abs=0.04)
    assert found.sure["negative"] == 0
    assert found.estimate == pytest.approx(0.15, abs=0.04)


def test_suspects_are_the_rows_that_are_wrong():
    rng = np.random.default_rng(2)
    label, probability = world(rng, 6.0)
    wrong = rng.choice(ROWS, 400, replace=False)
    turned = label.copy()
    turned[wrong] ^= 1
    suspects = [int(name[1:]) for name in judged(turned, probability).suspects]
    assert len(suspects) == 5
    assert set(suspects) <= set(wrong.tolist())
    assert judged(label, np.where(label == 1, 0.9, 0.1)).suspects == ()


def test_labels_without_any_signal_say_nothing():
    rng = np.random.default_rng(3)
    assert judged(rng.integers(0, 2, ROWS), rng.random(ROWS)).estimate is None
