"""Give whole clusters to sides or folds, so that each has its share of every kind of row.

Shapes: N rows, C clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tocsin.core.errors import InputError
from tocsin.data.fingerprint import mix


@dataclass(frozen=True)
class Clustered:
    """Rows that are divided by clusters."""

    cluster: np.ndarray
    """[N] int64: clusters that stay whole, numbered from 0 without gaps."""
    stratum: np.ndarray
    """[N] int64: kinds of rows, each of which is divided in proportion."""
    content: np.ndarray
    """[N] uint64: a hash of what is in a row; with the seed it draws the order of clusters of one size."""

    def order(self, seed: int) -> np.ndarray:
        """Return the clusters, the largest first, else shuffled by the seed and by what is in them."""
        content = np.zeros(self.cluster.max() + 1, dtype=np.uint64)
        np.add.at(content, self.cluster, mix(self.content))
        return np.lexsort((mix(content, seed), -np.bincount(self.cluster)))


def compositions(cluster: np.ndarray, stratum: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return for each cluster its (stratum, number of rows) pairs."""
    width = int(stratum.max()) + 1
    pairs, counts = np.unique(cluster * width + stratum, return_counts=True)
    parts: list[list[tuple[int, int]]] = [[] for _ in range(cluster.max() + 1)]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        parts[pair // width].append((pair % width, count))
    return parts


def divide(rows: Clustered, shares: Mapping[int, float], seed: int) -> np.ndarray:
    """Give each cluster in turn, the largest first, to the side where it does the least harm.

    The harm is the rise of sum((have - want)^2 / want) over sides and strata: each stratum is divided in
    proportion, and clusters of every size are too. Returns the side of each row, int64 [N].
    """
    totals = np.bincount(rows.stratum)
    want = {side: (share * totals).tolist() for side, share in shares.items()}
    have = {side: [0.0] * len(totals) for side in shares}
    chosen = np.zeros(rows.cluster.max() + 1, dtype=np.int64)
    parts = compositions(rows.cluster, rows.stratum)
    for cluster in rows.order(seed).tolist():
        harms = {
            side: sum(
                n * (2 * (have[side][s] - want[side][s]) + n) / want[side][s] for s, n in parts[cluster]
            )
            for side in shares
        }
        chosen[cluster] = best = min(harms, key=harms.__getitem__)
        for s, n in parts[cluster]:
            have[best][s] += n
    sides: np.ndarray = chosen[rows.cluster]
    return sides


def make_folds(rows: Clustered, count: int, seed: int) -> np.ndarray:
    """Return the fold of each row, int64 [N] from 0 to count - 1: whole clusters, every stratum in equal parts.

    InputError where there are fewer clusters than folds, or one so large that a fold stays empty.
    """
    clusters = int(rows.cluster.max()) + 1
    if count < 2 or clusters < count:
        raise InputError(f"{count} folds cannot be made of {clusters} clusters of rows")
    folds = divide(rows, dict.fromkeys(range(count), 1 / count), seed)
    if len(np.unique(folds)) < count:
        largest = np.bincount(rows.cluster).max()
        raise InputError(f"a fold of {count} stays empty: one cluster holds {largest} of {len(folds)} rows")
    return folds
