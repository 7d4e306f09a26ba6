"""What a feature is worth: the difference of two areas, its deviation, and what follows from them."""

from types import SimpleNamespace
from typing import Self

import numpy as np
import pytest
from pydantic import model_validator
from sklearn.metrics import roc_auc_score

from tocsin.core.types import Sample, column, tabulate
from tocsin.workflows.readiness.importance import compare_auc, put


def drawn(seed: int, rows: int = 400, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.3).astype(int)
    first = label + rng.normal(size=rows)
    return label, first, first + rng.normal(scale=noise, size=rows)


def test_the_difference_is_scikit_learns() -> None:
    label, first, second = drawn(0)
    second = np.round(second, 1)  # ties
    loss, _ = compare_auc(label, first, second)
    assert loss == pytest.approx(roc_auc_score(label, first) - roc_auc_score(label, second), abs=1e-12)


def test_the_deviation_is_that_of_the_bootstrap() -> None:
    label, first, second = drawn(1, 600)
    _, deviation = compare_auc(label, first, second)
    rng = np.random.default_rng(0)
    sides = [np.flatnonzero(label == value) for value in (0, 1)]
    found = []
    for _ in range(600):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        found.append(roc_auc_score(label[rows], first[rows]) - roc_auc_score(label[rows], second[rows]))
    assert deviation == pytest.approx(np.std(found), rel=0.12)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """300 draws: the 95 % interval of the difference holds that of 200,000 rows in 92 to 98 % of them."""
    label, first, second = drawn(99, 200_000)
    truth, _ = compare_auc(label, first, second)
    held = 0
    for seed in range(300):
        loss, deviation = compare_auc(*drawn(seed))
        held += abs(loss - truth) <= 1.96 * deviation
    assert 0.92 <= held / 300 <= 0.98


def test_equal_scores_differ_by_nothing() -> None:
    label, first, _ = drawn(2)
    assert compare_auc(label, first, first) == (0.0, 0.0)


@pytest.mark.parametrize("positives", [0, 1, 400, 399])
def test_one_class_says_nothing(positives: int) -> None:
    label = np.arange(400) < positives
    _, first, second = drawn(3)
    assert np.isnan(compare_auc(label.astype(int), first, second)).all()


class Tree(Sample):
    """Each node's parent is a node."""

    names: tuple[str, ...]
    parents: tuple[int, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if any(parent >= len(self.names) for parent in self.parents):
            raise ValueError("a parent that is not there")
        return self


def test_a_value_is_moved_only_to_rows_that_stay_samples() -> None:
    """A tree of one name cannot have the parents of one of three; it keeps its own."""
    trees = [
        Tree(names=("a",), parents=(0,)),
        Tree(names=("a", "b", "c"), parents=(0, 2)),
        Tree(names=(), parents=()),
    ]
    columns = tabulate(trees, Tree)
    predictor = SimpleNamespace(schema=SimpleNamespace(sample=Tree))
    moved = put(predictor, columns, "parents", column([(2,), (0,), ()], numeric=False))
    assert moved["parents"].tolist() == [(0,), (0,), ()]
    assert columns["parents"].tolist() == [(0,), (0, 2), ()]
    free = put(predictor, columns, "names", column([("x", "y"), ("x", "y", "z"), ("x",)], numeric=False))
    assert free["names"].tolist() == [("x", "y"), ("x", "y", "z"), ("x",)]
