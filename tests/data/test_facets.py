"""Facets: what rows are divided, held out and reported by; never features. And rows that are another task."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tocsin.core.errors import InputError
from tocsin.core.recipe import SplitSection
from tocsin.core.schema import Layout, Schema, truth_of
from tocsin.core.types import Sample
from tocsin.data.dataset import Dataset
from tocsin.data.sources import Reading, concatenate, read
from tocsin.data.splits import split
from truths import truths


class Note(Sample):
    """A text."""

    text: str
    mood: str | None = None


LAYOUT = Layout(
    name="note",
    columns=frozenset({"text", "label"}),
    optional=frozenset({"mood"}),
    record=lambda row: {"text": row["text"], "mood": row.get("mood")},
    truth=lambda row: truth_of(row["label"] == "1"),
    denied={"label": "the truth", "shop": "where it comes from", "side": "how it was divided"},
    facets={"shop": "shop", "side": "side"},
    skip=lambda row: "an advert" if row["text"].startswith("ad ") else None,
)
SCHEMA = Schema("note", Note, {"note": LAYOUT})


def write(folder: Path, name: str, lines: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_facets_are_read_and_are_no_features(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ["text,label,shop", "x,1,north", "ad y,0,north", "z,0,"])
    dataset = read([path], SCHEMA)
    assert dataset.facets.keys() == {"shop"}, "a column that the file lacks is no facet"
    assert dataset.facets["shop"].tolist() == ["north", None]
    assert set(dataset.columns) == {"text", "mood"}
    assert dict(dataset.repairs)["left out: an advert"] == 1
    assert not dataset.refused
    assert dataset.take(np.array([1])).facets["shop"].tolist() == [None]


def test_optional_columns_are_read_and_may_lack(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ["text,label,mood", "x,1,glad"])
    assert read([path], SCHEMA).columns["mood"].tolist() == ["glad"]
    assert not [name for name, _ in read([path], SCHEMA).repairs if "mood" in name]


def test_files_with_other_facets_join(tmp_path: Path) -> None:
    one = write(tmp_path, "a.csv", ["text,label,shop", "x,1,north"])
    other = write(tmp_path, "b.csv", ["text,label", "y,0"])
    joined = concatenate([read([one], SCHEMA, Reading()), read([other], SCHEMA, Reading())])
    assert joined.facets["shop"].tolist() == ["north", None]


def notes(rows: int = 600) -> Dataset:
    rng = np.random.default_rng(0)
    names = lambda values: np.array(values, dtype=object)  # noqa: E731
    label = rng.integers(0, 2, rows)
    shop = names([f"shop {i % 3}" for i in range(rows)])
    label[shop == "shop 2"] = 1
    return Dataset(
        {"text": names([f"note {i}" for i in range(rows)])},
        truths(label),
        names([f"f:{i}" for i in range(rows)]),
        names(["f"] * rows),
        group=names([str(i // 2) if i < 12 else f"own {i}" for i in range(rows)]),
        facets={"shop": shop, "side": names([("train", "val", "test")[i % 7 % 3] for i in range(rows)])},
    )


def test_a_published_division_is_kept() -> None:
    data = notes()
    (fold,) = split(data, SplitSection(by="side"))
    for side, name in ((fold.train, "train"), (fold.valid, "val"), (fold.test, "test")):
        assert set(data.facets["side"][side]) == {name}
    assert len(fold.train) + len(fold.valid) + len(fold.test) == len(data)


def test_what_a_published_division_put_on_two_sides_stays_in_the_test_alone() -> None:
    """Rows 0 to 11 are pairs: train with val, test with train, val with test, and so on."""
    data = notes()
    (fold,) = split(data, SplitSection(by="side", group="group"))
    (whole,) = split(data, SplitSection(by="side"))
    assert fold.test.tolist() == whole.test.tolist(), "the published test is what others are compared on"
    sides = [set(data.group[rows]) for rows in (fold.train, fold.valid, fold.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)), "no group is on two sides"
    lost = len(data) - sum(len(rows) for rows in (fold.train, fold.valid, fold.test))
    assert fold.facts["left_out_for_sharing_a_cluster"] == lost > 0
    assert whole.facts["left_out_for_sharing_a_cluster"] == 0


def test_each_value_with_both_classes_is_held_out_once() -> None:
    data = notes()
    folds = split(data, SplitSection(hold_out="each", hold_out_by="shop", group="group"))
    assert [fold.facts["held_out"] for fold in folds] == [["shop 0"], ["shop 1"]]
    assert folds[0].facts["not_held_out"] == ["shop 2"]
    for fold in folds:
        held = fold.facts["held_out"][0]
        seen = np.concatenate([fold.train, fold.valid])
        assert set(data.facets["shop"][fold.test]) == {held}
        assert held not in set(data.facets["shop"][seen])
        assert not set(data.group[seen]) & set(data.group[fold.test]), "a group would leak"
        assert fold.facts["left_out_for_sharing_a_cluster"] > 0


def test_a_value_of_one_class_can_be_named() -> None:
    (fold,) = split(notes(), SplitSection(hold_out=("shop 2",), hold_out_by="shop"))
    assert len(fold.test) == 200


def test_training_is_thinned_by_class_and_source_and_nothing_else_is() -> None:
    data = notes()
    data.facets["source"] = data.facets["shop"]
    (whole,) = split(data, SplitSection(by="side"))
    (thin,) = split(data, SplitSection(by="side", most=20))
    cells = Counter(zip(data.facets["source"][thin.train], data.label[thin.train].tolist(), strict=True))
    before = Counter(zip(data.facets["source"][whole.train], data.label[whole.train].tolist(), strict=True))
    assert cells == {cell: min(count, 20) for cell, count in before.items()}
    assert max(before.values()) > 20
    assert set(thin.train) < set(whole.train)
    assert thin.valid.tolist() == whole.valid.tolist()
    assert thin.test.tolist() == whole.test.tolist()
    assert thin.facts["thinned_out_of_train"] == len(whole.train) - len(thin.train)
    order = np.random.default_rng(1).permutation(len(data))
    (other,) = split(data.take(order), SplitSection(by="side", most=20))
    assert set(order[other.train]) == set(thin.train), "whatever order the rows come in"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"by": "sid"}, "side"),
        ({"by": "shop"}, "no side"),
        ({"hold_out": ("shop 9",), "hold_out_by": "shop"}, "shop 9"),
        ({"hold_out": "each", "hold_out_by": "shp"}, "shop"),
        ({"hold_out": "each", "hold_out_by": "text"}, "facet"),
    ],
)
def test_a_wrong_key_is_one_clear_line(section: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        split(notes(), SplitSection(**section))
    assert "\n" not in str(caught.value)
