"""Divide a dataset into train, validation and test so that nothing leaks, and say what was done.

Whole clusters (near-duplicates joined with groups) go to one side. Shapes: N rows of the dataset, C clusters.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.recipe import SplitSection
from tocsin.data.clusters import connect, near_duplicates
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import content_fingerprint, fingerprint, mix, row_keys, text_keys
from tocsin.data.folds import Clustered, compositions, divide

TRAIN, VALID, TEST, LEFT_OUT = range(4)
SIDES = ("train", "valid", "test")
PUBLISHED = {"train": TRAIN, "val": VALID, "valid": VALID, "validation": VALID, "dev": VALID, "test": TEST}
"""What published divisions call their sides."""
BOTH = 20
"""Rows of each class that a facet's value needs to be held out by `each`."""


@dataclass(frozen=True)
class Fold:
    """One division. The indices, int64 and rising, point into the dataset."""

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    """Points into the official test where there is one."""
    fingerprint: str
    """sha256 over fields, ids, labels, contents and this division."""
    facts: Mapping[str, Any]
    """What was done, ready for JSON: counts, `naive_overlap`, `overlap`, and whatever had to give way."""
    likeness: np.ndarray | None = None
    """[N, then the rows of the official test] clusters of near-duplicates and groups, kept to or not."""


@dataclass(frozen=True)
class _Ground:
    """What all folds stand on."""

    dataset: Dataset
    official: Dataset | None
    section: SplitSection
    likeness: np.ndarray
    """[N, then the rows of the official test] clusters for the leak meter, whatever the split keeps to."""
    cluster: np.ndarray
    """[N] clusters that the split keeps whole."""
    stratum: np.ndarray
    """[N] index into `strata`."""
    strata: tuple[str, ...]


def split(dataset: Dataset, section: SplitSection, official_test: Dataset | None = None) -> list[Fold]:
    """Divide by clusters, stratified by label and category, or in time; one fold, or one a held-out category.

    The same rows and seed give the same division on every machine, in whatever order the rows come.
    InputError for an unknown category, a missing time, or a side that stays without rows.
    """
    ground = _survey(dataset, section, official_test)
    sides, facts = _divide(ground)
    if section.hold_out and section.hold_out_by != "category":
        return hold_out_facets(ground, sides, facts)
    if section.hold_out:
        return [_hold_out(name, held, ground, sides, facts) for name, held in _held_sets(ground).items()]
    test = np.flatnonzero(sides == TEST) if official_test is None else np.arange(len(official_test))
    return [_fold("main", ground, sides, test, facts)]


def _divide(ground: _Ground) -> tuple[np.ndarray, dict[str, Any]]:
    if ground.section.time:
        return _divide_in_time(ground)
    if ground.section.by:
        sides = _keep_apart(ground.cluster, _divide_as_published(ground, ground.section.by))
        left_out = int((sides == LEFT_OUT).sum())
        return sides, {"published": ground.section.by, "left_out_for_sharing_a_cluster": left_out}
    return _divide_evenly(ground), {}


def _survey(dataset: Dataset, section: SplitSection, official: Dataset | None) -> _Ground:
    everything = [dataset] if official is None else [dataset, official]
    columns = {k: np.concatenate([d.columns[k] for d in everything]) for k in dataset.columns}
    near, size = near_duplicates(columns, section.digits, section.text), len(dataset)
    groups = _groups(everything, section)
    likeness = connect([near, *groups], len(near))
    kept = [key[:size] for key in ([near, *groups] if section.near_duplicates else groups)]
    names = np.array(
        [_stratum(*row) for row in zip(dataset.label, dataset.category, strict=True)], dtype=object
    )
    strata, stratum = np.unique(names, return_inverse=True)
    return _Ground(dataset, official, section, likeness, connect(kept, size), stratum, tuple(strata))


def _groups(datasets: list[Dataset], section: SplitSection) -> list[np.ndarray]:
    if section.group is None:
        return []
    if any(d.group is None for d in datasets):
        raise InputError(f"split.group is {section.group!r}, but the rows were read without their groups")
    return [text_keys(value for d in datasets if d.group is not None for value in d.group)]


def _stratum(label: int, category: str) -> str:
    return {0: "negative", 1: category or "positive"}.get(label, "unlabelled")


def _divide_evenly(ground: _Ground) -> np.ndarray:
    """Return the side of each row, int64 [N]: whole clusters, every stratum in proportion."""
    content = row_keys(ground.dataset.columns) ^ text_keys(ground.strata)[ground.stratum]
    return divide(Clustered(ground.cluster, ground.stratum, content), _shares(ground), ground.section.seed)


def _shares(ground: _Ground) -> dict[int, float]:
    test = ground.section.test if ground.official is None else 0.0
    shares = {
        TRAIN: (1 - test) * (1 - ground.section.valid),
        VALID: (1 - test) * ground.section.valid,
        TEST: test,
    }
    return {side: share for side, share in shares.items() if share > 0}


def _divide_in_time(ground: _Ground) -> tuple[np.ndarray, dict[str, Any]]:
    """Make the newest rows the test, and the newest before them the validation.

    A cluster that straddles a boundary goes to train as a whole. Returns the side of each row, int64 [N],
    and what gave way.
    """
    time = ground.dataset.time
    if time is None:
        raise InputError(f"split.time is {ground.section.time!r}, but the rows were read without their times")
    sides = np.full(len(time), TRAIN)
    for side, share in (
        (TEST, ground.section.test if ground.official is None else 0.0),
        (VALID, ground.section.valid),
    ):
        older = sides == TRAIN
        boundary = np.sort(time[older])[int(np.ceil(older.sum() * (1 - share))) - 1]
        sides[older & (time > boundary)] = side
    wanted = sides.copy()
    sides[np.isin(ground.cluster, _straddling(ground.cluster, sides))] = TRAIN
    moved = {SIDES[side]: int(((wanted == side) & (sides == TRAIN)).sum()) for side in (VALID, TEST)}
    return sides, {"straddling_moved_to_train": moved}


def _divide_as_published(ground: _Ground, name: str) -> np.ndarray:
    """Return the side that a facet names for each row, int64 [N]; InputError for a name of no side."""
    values = _facet(ground.dataset, name, "split.by")
    unknown = sorted({str(v) for v in values} - set(PUBLISHED))
    if unknown:
        known = ", ".join(PUBLISHED)
        raise InputError(f"split.by: {name!r} holds {unknown[0]!r}, which is no side (there are: {known})")
    return np.array([PUBLISHED[str(v)] for v in values], dtype=np.int64)


def _facet(dataset: Dataset, name: str, key: str) -> np.ndarray:
    if name not in dataset.facets:
        known = sorted(dataset.facets)
        raise InputError(
            f"{key}: the rows have no facet {name!r}{did_you_mean(name, known)} (there are: {', '.join(known)})"
        )
    return dataset.facets[name]


def hold_out_facets(ground: _Ground, sides: np.ndarray, facts: dict[str, Any]) -> list[Fold]:
    """Make one fold a value of a facet: its rows are the test, all others train and validation.

    `each` takes the values with enough rows of both classes: with one class alone no ranking can be judged.
    """
    name, wanted = ground.section.hold_out_by, ground.section.hold_out
    if ground.official is not None:
        raise InputError("split.hold_out_by: a facet is held out of data.train, so data.test must be empty")
    values = _facet(ground.dataset, name, "split.hold_out_by")
    found = sorted({str(v) for v in values if v is not None})
    if wanted != "each" and (strange := [v for v in wanted if v not in found]):
        hint = did_you_mean(strange[0], found)
        raise InputError(f"split.hold_out: no {name} {strange[0]!r}{hint} (there are: {', '.join(found)})")
    chosen = [v for v in found if _has_both(ground.dataset, values == v)] if wanted == "each" else wanted
    if not chosen:
        raise InputError(f"split.hold_out: no {name} holds {BOTH} rows of each class")
    left = {"held_out_by": name, "not_held_out": [v for v in found if v not in chosen]}
    return [_hold_facet(value, values == value, ground, sides, facts | left) for value in chosen]


def _has_both(dataset: Dataset, inside: np.ndarray) -> bool:
    return all(int((dataset.label[inside] == side).sum()) >= BOTH for side in (0, 1))


def _hold_facet(
    value: str, inside: np.ndarray, ground: _Ground, sides: np.ndarray, facts: dict[str, Any]
) -> Fold:
    """Rows of other values that share a cluster with the held ones are left out: they would leak."""
    sides = np.where(inside, TEST, np.where(sides == TEST, TRAIN, sides))
    sides = _keep_apart(ground.cluster, sides)
    more = {"held_out": [value], "left_out_for_sharing_a_cluster": int((sides == LEFT_OUT).sum())}
    return _fold(_fold_name(value), ground, sides, np.flatnonzero(inside), facts | more)


def _keep_apart(cluster: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Leave out what shares a cluster with a row of the test, and training rows that share one with validation."""
    sides = np.where(_share_cluster(cluster, sides == TEST) & (sides != TEST), LEFT_OUT, sides)
    return np.where(_share_cluster(cluster, sides == VALID) & (sides == TRAIN), LEFT_OUT, sides)


def _fold_name(value: str) -> str:
    return f"held-out-{re.sub('[^a-z0-9]+', '-', value.lower()).strip('-')}"


def _straddling(cluster: np.ndarray, sides: np.ndarray) -> np.ndarray:
    pairs = np.unique(cluster * len(SIDES) + sides) // len(SIDES)
    return np.unique(pairs[1:][pairs[1:] == pairs[:-1]])


def _held_sets(ground: _Ground) -> dict[str, list[str]]:
    """Return name of the fold -> categories that are in its test only."""
    last = ground.dataset if ground.official is None else ground.official
    tested = sorted(set(last.category[last.label == 1]) - {""})
    known = sorted(set(tested) | set(ground.dataset.category[ground.dataset.label == 1]) - {""})
    wanted = ground.section.hold_out
    for name in () if wanted == "each" else wanted:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"split.hold_out: no category {name!r}{hint} (there are: {', '.join(known)})")
    if not tested:
        raise InputError("split.hold_out: the rows have no categories")
    if wanted != "each":
        return {"held-out": list(wanted)}
    return {_fold_name(name): [name] for name in tested}


def _hold_out(name: str, held: list[str], ground: _Ground, sides: np.ndarray, facts: dict[str, Any]) -> Fold:
    """Keep categories out of train and validation, and the other positives out of the test."""
    rows, official = ground.dataset, ground.official
    positive = rows.label == 1
    away = _share_cluster(ground.cluster, positive & np.isin(rows.category, held))
    others = _share_cluster(ground.cluster, positive) & ~away & (sides == TEST)
    sides = np.where(away, TEST if official is None else LEFT_OUT, np.where(others, TRAIN, sides))
    test = np.flatnonzero(sides == TEST)
    if official is not None:
        test = np.flatnonzero((official.label != 1) | np.isin(official.category, held))
    return _fold(name, ground, sides, test, {
        **facts,
        "held_out": held,
        "other_positives_moved_to_train": _count(ground, others & positive),
        "other_rows_in_held_out_clusters": _count(ground, away & ~(positive & np.isin(rows.category, held))),
        "left_out_of_train": int((sides == LEFT_OUT).sum()),
        "left_out_of_official_test": 0 if official is None else len(official) - len(test),
    })  # fmt: skip


def _share_cluster(cluster: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.isin(cluster, cluster[rows])


def _fold(name: str, ground: _Ground, sides: np.ndarray, test: np.ndarray, facts: dict[str, Any]) -> Fold:
    thinned = _thin(ground, sides)
    sides = np.where(thinned, LEFT_OUT, sides)
    train, valid = np.flatnonzero(sides == TRAIN), np.flatnonzero(sides == VALID)
    wanted = {
        "train": True,
        "valid": ground.section.valid > 0,
        "test": ground.official or ground.section.test > 0,
    }
    for side, index in zip(SIDES, (train, valid, test), strict=True):
        if wanted[side] and not len(index):
            raise InputError(f"split {name!r}: no rows are left for {side} ({_size(ground)})")
    digest = fingerprint(ground.dataset, (train, valid, test), [ground.official] if ground.official else [])
    last = ground.official or ground.dataset
    return Fold(name, train, valid, test, digest, {
        "rows": {"train": len(train), "valid": len(valid), "test": len(test)},
        "strata": {
            "train": _count(ground, train),
            "valid": _count(ground, valid),
            "test": dict(sorted(Counter(map(_stratum, last.label[test], last.category[test])).items())),
        },
        "clusters": int(ground.cluster.max()) + 1,
        "largest_cluster": int(np.bincount(ground.cluster).max()),
        "scarce": _scarce(ground),
        "thinned_out_of_train": int(thinned.sum()),
        "naive_overlap": _naive_overlap(ground),
        "overlap": _overlap(ground, np.concatenate([train, valid]), test),
        "test_fingerprint": content_fingerprint(last.take(test)) if len(test) else None,
        **facts,
    }, ground.likeness)  # fmt: skip


def _thin(ground: _Ground, sides: np.ndarray) -> np.ndarray:
    """Tell which training rows are too many of their class and source, bool [N]; contents and seed draw them."""
    dataset, thinned = ground.dataset, np.zeros(len(sides), dtype=bool)
    if ground.section.most is None:
        return thinned
    source = np.unique(dataset.facets.get("source", dataset.source).astype(str), return_inverse=True)[1]
    train = np.flatnonzero(sides == TRAIN)
    cell = (source * 3 + dataset.label + 1)[train]
    order = np.lexsort((mix(row_keys(dataset.columns), ground.section.seed)[train], cell))
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    thinned[train[order[rank >= ground.section.most]]] = True
    return thinned


def _size(ground: _Ground) -> str:
    sizes = np.bincount(ground.cluster)
    return f"{len(ground.dataset)} rows in {len(sizes)} clusters, the largest of {sizes.max()}"


def _count(ground: _Ground, rows: np.ndarray) -> dict[str, int]:
    counts = np.bincount(ground.stratum[rows], minlength=len(ground.strata)).tolist()
    return {name: count for name, count in zip(ground.strata, counts, strict=True) if count}


def _scarce(ground: _Ground) -> dict[str, int]:
    """Return the strata with fewer clusters than there are sides to give them to, and how many they have."""
    clusters = Counter(s for part in compositions(ground.cluster, ground.stratum) for s, _ in part)
    return {ground.strata[s]: n for s, n in sorted(clusters.items()) if n < len(_shares(ground))}


def _naive_overlap(ground: _Ground) -> float:
    """Return the overlap that dividing the rows at random would have had; with an official test, its own."""
    shuffled = np.argsort(mix(np.arange(len(ground.dataset), dtype=np.uint64), ground.section.seed))
    if ground.official is not None:
        return _overlap(ground, shuffled, np.arange(len(ground.official)))
    cut = round(len(shuffled) * ground.section.test)
    return _overlap(ground, shuffled[cut:], shuffled[:cut])


def _overlap(ground: _Ground, seen: np.ndarray, test: np.ndarray) -> float:
    """Return the share of test rows that have a row of their cluster among those seen in training."""
    offset = 0 if ground.official is None else len(ground.dataset)
    return float(np.isin(ground.likeness[test + offset], ground.likeness[seen]).mean()) if len(test) else 0.0
