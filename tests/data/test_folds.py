"""Folds keep clusters whole and kinds of rows in proportion, and depend on the rows and the seed alone."""

import numpy as np
import pytest

from tocsin.core.errors import InputError
from tocsin.data.folds import Clustered, make_folds


def made(rows: int = 1000, seed: int = 0) -> Clustered:
    """Clusters of 1 to 9 rows, of three kinds, the rarest 5 %."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(rows), rng.integers(1, 10, rows))[:rows]
    stratum = rng.choice(3, size=rows, p=[0.6, 0.35, 0.05])
    return Clustered(cluster, stratum, rng.integers(0, 2**63, rows).astype(np.uint64))


@pytest.mark.parametrize("count", [2, 5, 10])
def test_clusters_stay_whole_and_kinds_are_in_proportion(count: int) -> None:
    rows = made()
    folds = make_folds(rows, count, 7)
    assert set(folds) == set(range(count))
    pairs = np.unique(np.stack([rows.cluster, folds]), axis=1)
    assert pairs.shape[1] == rows.cluster.max() + 1
    for kind in range(3):
        share = np.bincount(folds[rows.stratum == kind], minlength=count)
        assert np.ptp(share) <= 9, "no more apart than a cluster is large"


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    rows = made()
    order = np.random.default_rng(1).permutation(1000)
    shuffled = Clustered(
        np.unique(rows.cluster[order], return_inverse=True)[1], rows.stratum[order], rows.content[order]
    )
    assert np.array_equal(make_folds(shuffled, 5, 7), make_folds(rows, 5, 7)[order])
    assert not np.array_equal(make_folds(rows, 5, 8), make_folds(rows, 5, 7))


def test_too_few_clusters_are_refused() -> None:
    few = Clustered(np.arange(4), np.zeros(4, dtype=np.int64), np.arange(4, dtype=np.uint64))
    assert sorted(make_folds(few, 4, 0)) == [0, 1, 2, 3]
    for count in (1, 5):
        with pytest.raises(InputError, match="cannot be made of 4 clusters"):
            make_folds(few, count, 0)
