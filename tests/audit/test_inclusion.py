"""M7 by simulation: equal groups seldom fail by chance, one that is served worse is found."""

from types import SimpleNamespace

import numpy as np

from tocsin.audit.readiness.model import check_inclusion


def known(positives: int, recall: list[float], rng: np.random.Generator) -> SimpleNamespace:
    drawn = rng.binomial(positives, recall) / positives
    slices = [
        {
            "by": "language",
            "name": str(i),
            "positives": positives,
            "too_few": False,
            "recall": {"value": float(r)},
        }
        for i, r in enumerate(drawn)
    ]
    return SimpleNamespace(primary={"slices": slices})


def failures(positives: int, recall: list[float], runs: int = 300) -> float:
    rng = np.random.default_rng(0)
    return float(
        np.mean([check_inclusion(known(positives, recall, rng)).status == "failed" for _ in range(runs)])
    )


def test_equal_groups_seldom_fail() -> None:
    assert failures(60, [0.9] * 12) <= 0.05
    assert failures(60, [0.9] * 11 + [0.8]) <= 0.05  # the gap that is allowed
    spread = np.random.default_rng(0).binomial(60, 0.9, (300, 12)) / 60
    assert (np.ptp(spread, axis=1) > 0.1).mean() > 0.5  # as highest and lowest of twelve do


def test_a_group_that_is_served_worse_is_found() -> None:
    assert failures(300, [0.9] * 11 + [0.65]) >= 0.99
    assert failures(60, [0.9] * 11 + [0.5]) >= 0.95
