from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import create_model

from data.meters import dataset
from tocsin.core.durable import json_bytes
from tocsin.core.errors import InputError
from tocsin.core.recipe import SplitSection
from tocsin.core.schema import Layout, Schema, truth_of
from tocsin.core.types import Sample
from tocsin.data.clusters import near_duplicates
from tocsin.data.dataset import Dataset
from tocsin.data.sources import read
from tocsin.data.splits import Fold, split

KINDS = ("", "dos", "probe", "worm")


def made(size: int, seed: int = 0, values: int | None = None, groups: int | None = None) -> Dataset:
    """Random rows; the fewer `values` and `groups`, the larger the clusters."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, size, p=[0.6, 0.25, 0.1, 0.05])
    return dataset(
        label=(kind > 0).astype(int),
        category=[KINDS[k] for k in kind],
        group=None if groups is None else [f"g{g}" for g in rng.integers(0, groups, size)],
        time=rng.permutation(size),
        volts=rng.integers(1, values, size).astype(float)
        if values
        else rng.permutation(np.geomspace(1, 1e9, size)),
        site=rng.choice(["roof", "cellar"], size).tolist(),
    )


def reject_unless(error: InputError, *reasons: str) -> NoReturn:
    """Leave out a case that cannot be split, if that is what is wrong with it."""
    if not any(reason in str(error) for reason in reasons):
        raise error
    reject()


def sides(fold: Fold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fold.train, fold.valid, fold.test


def straddling(fold: Fold, keys: Sequence[object]) -> set[object]:
    """Return the keys that are on more than one side."""
    train, valid, test = ({keys[i] for i in side} for side in sides(fold))
    return (train & valid) | (train & test) | (valid & test)


CASES = st.builds(
    made,
    st.integers(60, 300),
    st.integers(0, 50),
    st.sampled_from([40, 200, None]),
    st.sampled_from([None, 20, 100]),
)


@settings(max_examples=60)
@given(
    data=CASES, seed=st.integers(0, 100), hold_out=st.sampled_from([(), ("dos",), ("worm", "probe"), "each"])
)
def test_nothing_straddles_and_nothing_is_lost(data: Dataset, seed: int, hold_out):
    section = SplitSection(group="g" if data.group is not None else None, seed=seed, hold_out=hold_out)
    try:
        folds = split(data, section)
    except InputError as error:
        reject_unless(error, "no rows are left for", "no category")
    for fold in folds:
        assert sorted(np.concatenate(sides(fold)).tolist()) == list(range(len(data)))
        assert all((np.diff(side) > 0).all() for side in sides(fold))
        assert not straddling(fold, near_duplicates(data.columns, section.digits).tolist())
        assert data.group is None or not straddling(fold, data.group.tolist())
        assert fold.facts["overlap"] == 0
        json_bytes(fold.facts)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000), valid=st.sampled_from([0.0, 0.15, 0.5]), test=st.sampled_from([0.2, 0.3, 0.5])
)
def test_every_stratum_is_divided_in_proportion(seed: int, valid: float, test: float):
    data = made(800, seed)
    (fold,) = split(data, SplitSection(valid=valid, test=test, seed=seed))
    for kind in KINDS:
        total = (data.category == kind).sum()
        for side, share in zip(
            sides(fold), ((1 - test) * (1 - valid), (1 - test) * valid, test), strict=True
        ):
            assert abs((data.category[side] == kind).sum() - share * total) <= 1.5


def test_clusters_of_every_size_are_divided_in_proportion():
    """Not all the copies in train: a test without duplicates would be another population."""
    volts = np.concatenate(
        [np.repeat(np.arange(1, 301), 3), np.arange(1000, 1300), np.repeat(np.arange(5000, 5010), 40)]
    )
    data = dataset([0] * len(volts), volts=volts.astype(float) * 1.0)
    (fold,) = split(data, SplitSection(test=0.3, valid=0.2, digits=9))
    for low, high in ((0, 301), (1000, 1300), (5000, 5010)):
        inside = (volts >= low) & (volts < high)
        assert inside[fold.test].sum() / inside.sum() == pytest.approx(0.3, abs=0.01)


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    data = made(500)
    one, again, other = (split(data, SplitSection(seed=seed))[0] for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.test.tolist() == again.test.tolist() != other.test.tolist()
    assert len(set(one.test) & set(other.test)) == pytest.approx(0.3 * 150, abs=30), (
        "unrelated, as two draws are"
    )


@given(order=st.permutations(range(120)))
@settings(max_examples=20)
def test_the_order_of_rows_does_not_matter(order: list[int]):
    data = made(120)
    (straight,), (shuffled,) = (split(d, SplitSection()) for d in (data, data.take(np.array(order))))
    for side, other in zip(sides(straight), sides(shuffled), strict=True):
        assert set(data.ids[side]) == set(data.take(np.array(order)).ids[other])


class TestOverlap:
    """The leak meter, against rows of which the truth is known."""

    def test_planted_copies_are_measured_and_none_straddles(self):
        rng = np.random.default_rng(0)
        volts = rng.uniform(1, 1e6, 2000).round(2)
        copies = rng.choice(2000, 1000, replace=False)
        data = dataset([0, 1] * 1500, volts=np.concatenate([volts, volts[copies]]))
        (fold,) = split(data, SplitSection(digits=9))
        twins = 2000 / 3000  # rows that have exactly one copy; it is in train with 70 %
        assert fold.facts["naive_overlap"] == pytest.approx(twins * 0.7, abs=0.03)
        assert fold.facts["overlap"] == 0

    def test_it_can_show_a_leak(self):
        """Negative control: without the rule, the meter shows what it costs."""
        data = dataset([0, 1] * 500, volts=np.repeat(np.arange(1.0, 501.0), 2))
        (fold,) = split(data, SplitSection(near_duplicates=False, digits=9))
        assert fold.facts["overlap"] > 0.3
        assert split(data, SplitSection(digits=9))[0].facts["overlap"] == 0

    def test_distinct_rows_overlap_nowhere(self):
        assert split(dataset([0, 1] * 100), SplitSection())[0].facts["naive_overlap"] == 0

    def test_an_official_test_is_measured_too(self):
        train, test = (
            dataset([0, 1] * 50, volts=np.arange(1.0, 101.0)),
            dataset([0] * 10, volts=np.arange(96.0, 106.0)),
        )
        (fold,) = split(train, SplitSection(), test)
        assert fold.facts["overlap"] == fold.facts["naive_overlap"] == 0.5


class TestTime:
    def test_the_newest_rows_are_the_test_and_those_before_them_validate(self):
        data = made(1000)
        (fold,) = split(data, SplitSection(time="t", test=0.3, valid=0.2))
        train, valid, test = (data.time[side] for side in sides(fold))
        assert train.max() < valid.min() <= valid.max() < test.min()
        assert [len(side) for side in sides(fold)] == [560, 140, 300]

    def test_a_cluster_that_straddles_goes_to_train_and_is_told(self):
        data = made(1000, groups=200)
        (fold,) = split(data, SplitSection(time="t", group="g"))
        assert not straddling(fold, data.group.tolist())
        moved = fold.facts["straddling_moved_to_train"]
        assert moved["test"] == 300 - len(fold.test) > 0
        assert len(fold.train) + len(fold.valid) + len(fold.test) == 1000

    def test_rows_of_one_moment_stay_together(self):
        data = dataset([0, 1] * 50, time=np.repeat(np.arange(10.0), 10))
        (fold,) = split(data, SplitSection(time="t", test=0.25, valid=0.15))
        assert not straddling(fold, data.time.tolist())
        assert fold.facts["rows"] == {"train": 70, "valid": 10, "test": 20}

    def test_what_cannot_be_split_in_time_is_said(self):
        with pytest.raises(InputError, match=r"no rows are left for valid|no rows are left for test"):
            split(dataset([0, 1] * 50, time=np.zeros(100)), SplitSection(time="t"))
        with pytest.raises(
            InputError, match=r"split\.time is 't', but the rows were read without their times"
        ):
            split(dataset([0, 1] * 50), SplitSection(time="t"))


class TestHoldOut:
    def test_the_category_is_in_the_test_only(self):
        data = made(1000)
        (plain,) = split(data, SplitSection())
        (fold,) = split(data, SplitSection(hold_out=("dos",)))
        assert set(data.category[fold.train]) == set(data.category[fold.valid]) == {"", "probe", "worm"}
        assert set(data.category[fold.test]) == {"", "dos"}
        assert (data.category[fold.test] == "dos").sum() == (data.category == "dos").sum()
        negatives = [set(side[data.label[side] == 0]) for side in sides(plain)]
        assert [set(side[data.label[side] == 0]) for side in sides(fold)] == negatives, "divided as usual"
        others = {kind: int((data.category[plain.test] == kind).sum()) for kind in ("probe", "worm")}
        assert fold.facts["other_positives_moved_to_train"] == others
        assert len(fold.train) + len(fold.valid) + len(fold.test) == 1000

    def test_each_makes_a_fold_per_category(self):
        data = made(1000)
        folds = split(data, SplitSection(hold_out="each"))
        assert [fold.name for fold in folds] == ["held-out-dos", "held-out-probe", "held-out-worm"]
        assert [fold.facts["held_out"] for fold in folds] == [["dos"], ["probe"], ["worm"]]
        assert len({fold.fingerprint for fold in folds}) == 3

    def test_rows_that_a_held_out_cluster_brings_along_are_told(self):
        data = dataset(
            [1, 0, 1] + [0, 1] * 50,
            ["dos", "", "worm"] + ["", "probe"] * 50,
            volts=[7.0] * 3 + list(range(100, 200)),
        )
        (fold,) = split(data, SplitSection(hold_out=("dos",)))
        assert {0, 1, 2} <= set(fold.test)
        assert fold.facts["other_rows_in_held_out_clusters"] == {"negative": 1, "worm": 1}

    def test_with_an_official_test_both_sides_are_told_what_was_left_out(self):
        train, test = made(500, 1), made(300, 2)
        (fold,) = split(train, SplitSection(hold_out=("dos",)), test)
        assert "dos" not in {*train.category[fold.train], *train.category[fold.valid]}
        assert set(test.category[fold.test]) == {"", "dos"}
        assert fold.facts["left_out_of_train"] == 500 - len(fold.train) - len(fold.valid) > 0
        assert fold.facts["left_out_of_official_test"] == 300 - len(fold.test) > 0

    def test_an_unknown_category_is_named(self):
        with pytest.raises(
            InputError, match=r"no category 'doss'; did you mean 'dos'\? \(there are: dos, probe, worm\)"
        ):
            split(made(200), SplitSection(hold_out=("doss",)))
        with pytest.raises(InputError, match="the rows have no categories"):
            split(dataset([0, 1] * 50), SplitSection(hold_out="each"))


class TestOfficialTest:
    def test_it_is_left_whole_and_validation_is_cut_from_train(self):
        train, test = made(500, 1), made(300, 2)
        (fold,) = split(train, SplitSection(valid=0.2), test)
        assert fold.test.tolist() == list(range(300))
        assert len(fold.train) + len(fold.valid) == 500
        assert len(fold.valid) == pytest.approx(100, abs=3)
        assert fold.facts["strata"]["test"]["dos"] == (test.category == "dos").sum()

    def test_in_time_validation_is_the_newest_of_train(self):
        train = made(500, 1)
        (fold,) = split(train, SplitSection(time="t", valid=0.2), made(300, 2))
        assert train.time[fold.valid].min() > train.time[fold.train].max()


def test_a_category_with_too_few_clusters_is_named():
    data = dataset(
        [1] * 6 + [0] * 94,
        ["rare"] * 6 + [""] * 94,
        volts=[1.0] * 3 + [2.0] * 3 + list(np.geomspace(10, 1e9, 94)),
    )
    (fold,) = split(data, SplitSection())
    assert fold.facts["scarce"] == {"rare": 2}
    assert fold.facts["largest_cluster"] == 3


def test_one_cluster_cannot_be_split():
    with pytest.raises(
        InputError, match=r"no rows are left for valid \(100 rows in 1 clusters, the largest of 100\)"
    ):
        split(dataset([0, 1] * 50, volts=[1.0] * 100), SplitSection())


def test_groups_that_were_not_read_are_missed():
    with pytest.raises(InputError, match=r"split\.group is 'g', but the rows were read without their groups"):
        split(made(100), SplitSection(group="g"))


def test_unsw_copies_are_found_and_kept_apart(shared_data: Path):
    """The independent figure: under a random 70/30 split 39.6 % of the test rows repeat a training row."""
    path = shared_data / "intrusion" / "unsw_nb15_82332.parquet"
    columns = pl.read_parquet_schema(path)
    texts, denied = {"proto", "service", "state"}, {"id": "row", "attack_cat": "truth", "label": "truth"}
    fields = {c: (str | None if c in texts else float | None, None) for c in columns if c not in denied}
    sample = create_model("Unsw", __base__=Sample, **fields)  # type: ignore[call-overload]
    layout = Layout(
        "unsw", frozenset(columns), lambda r: r, lambda r: truth_of(r["label"] == 1, r["attack_cat"]), denied
    )
    data = read([path], Schema("unsw", sample, {"unsw": layout}))
    (exact,), (rounded,) = (split(data, SplitSection(digits=digits)) for digits in (9, 3))
    assert exact.facts["naive_overlap"] == pytest.approx(0.396, abs=0.005)
    assert rounded.facts["naive_overlap"] >= exact.facts["naive_overlap"] - 0.001
    assert exact.facts["overlap"] == rounded.facts["overlap"] == 0
    assert rounded.facts["rows"]["test"] == pytest.approx(0.3 * len(data), abs=20)
