"""In-memory batches: what they hold, their order, and how fast they are."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.axes import Axis
from tocsin.core.errors import InputError
from tocsin.core.promise import Promise
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import Batch


def numbered(rows: int, batch_size: int, **options) -> ArrayBatches:
    ids = np.arange(rows)
    return ArrayBatches({"id": ids}, {"label": ids % 2}, batch_size, seed=7, **options)


def keeping(transform):
    transform.promise = Promise(labels="kept", spans="none")
    return transform


def epoch_ids(source: ArrayBatches, epoch: int) -> list[int]:
    batches = [source[i] for i in range(epoch * len(source), (epoch + 1) * len(source))]
    return torch.cat([batch.inputs["id"] for batch in batches]).tolist()


@given(st.integers(1, 60), st.integers(1, 25), st.integers(0, 4))
def test_every_row_once_an_epoch_in_an_order_of_its_own(rows, batch_size, epoch):
    source = numbered(rows, batch_size)
    ids = epoch_ids(source, epoch)
    assert sorted(ids) == list(range(rows))
    assert epoch_ids(numbered(rows, batch_size), epoch) == ids
    if rows > 20:
        assert ids != epoch_ids(source, epoch + 1)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_an_index_always_gives_the_same_batch(indices):
    @keeping
    def mask(batch: Batch, generator: torch.Generator) -> Batch:
        noise = torch.rand(len(batch), generator=generator)
        return Batch({**batch.inputs, "noise": noise}, batch.targets, batch.terms_B)

    walked = numbered(23, 5, transform=mask)
    for index in indices:
        fresh = numbered(23, 5, transform=mask)[index]
        found = walked[index]
        assert torch.equal(found.inputs["id"], fresh.inputs["id"])
        assert torch.equal(found.inputs["noise"], fresh.inputs["noise"])
        assert torch.equal(found.targets["label"], found.inputs["id"] % 2)


def test_masks_differ_between_batches_and_epochs():
    drawn = set()

    @keeping
    def note(batch: Batch, generator: torch.Generator) -> Batch:
        drawn.add(float(torch.rand(1, generator=generator)))
        return batch

    source = numbered(20, 5, transform=note)
    for index in range(12):
        _ = source[index]
    assert len(drawn) == 12


def test_a_transform_may_count_masked_cells():
    @keeping
    def hide(batch: Batch, generator: torch.Generator) -> Batch:
        hidden = torch.rand(len(batch), 9, generator=generator) < 0.3
        return Batch({**batch.inputs, "hidden": hidden}, batch.targets, hidden.sum(1).double())

    batch = numbered(20, 8, transform=hide)[1]
    assert batch.count == batch.inputs["hidden"].sum()


def test_an_augmenter_that_promises_nothing_is_refused():
    def silent(batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    with pytest.raises(InputError, match="augmenter 'silent' does not say whether it keeps labels and spans"):
        numbered(20, 5, transform=silent)


def test_sequential_keeps_the_rows_as_they_stand():
    source = numbered(10, 4, draw="sequential")
    assert epoch_ids(source, 0) == epoch_ids(source, 3) == list(range(10))
    assert len(source[2]) == 2


def test_weighted_draws_classes_equally_often_with_replacement():
    classes = np.array([0] * 950 + [1] * 40 + [2] * 10 + [-1] * 500)
    source = ArrayBatches({"id": classes}, {}, 100, seed=1, draw="weighted", classes=classes)
    drawn = np.array([i for epoch in range(20) for i in epoch_ids(source, epoch)])
    assert -1 not in drawn
    assert np.bincount(drawn) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.02)
    ids = np.arange(len(classes))
    spread = ArrayBatches({"id": ids}, {}, 100, seed=1, draw="weighted", classes=classes)
    assert {i for i in epoch_ids(spread, 0) if i >= 990} == set(range(990, 1000))


def test_terms_follow_their_rows():
    ids = np.arange(12)
    source = ArrayBatches({"id": ids}, {}, 5, terms=ids / 2)
    for index in range(3):
        assert torch.equal(source[index].terms_B, source[index].inputs["id"] / 2.0)


def test_batches_are_cut_at_their_longest_row():
    """The size says where a row ends, never a 0; targets are cut with the inputs."""
    length = np.array([1, 2, 5, 3, 4, 0])
    values = np.zeros((6, 5), dtype=np.int64)
    marks = np.where(np.arange(5) < length[:, None], 0, -1)
    source = ArrayBatches(
        {"values": values, "length": length}, {"marks": marks}, 2, draw="sequential",
        axes={"values": (Axis("places", "length"),)}, target_axes={"marks": (Axis("places", "length", pad=-1),)},
    )  # fmt: skip
    assert [source[i].inputs["values"].shape for i in range(3)] == [(2, 2), (2, 5), (2, 4)]
    for i in range(3):
        batch = source[i]
        assert batch.targets["marks"].shape == batch.inputs["values"].shape
        assert ((batch.targets["marks"] == 0).sum(1) == batch.inputs["length"]).all()
    whole = replace(source, axes={}, target_axes={})
    assert whole[0].inputs["values"].shape == whole[0].targets["marks"].shape == (2, 5)


def test_bad_arrays_are_refused():
    with pytest.raises(InputError, match=r"equally many rows.*'target y': 2"):
        ArrayBatches({"x": np.zeros(3)}, {"y": np.zeros(2)}, 2)
    with pytest.raises(InputError, match="no rows"):
        ArrayBatches({"x": np.zeros((0, 2))}, {}, 2)
    with pytest.raises(InputError, match="class of every row"):
        ArrayBatches({"x": np.zeros(3)}, {}, 2, draw="weighted")


def test_read_only_arrays_are_taken():
    values = np.arange(4.0)
    values.flags.writeable = False
    assert ArrayBatches({"x": values}, {}, 4, draw="sequential")[0].inputs["x"].tolist() == [0, 1, 2, 3]


def rows_per_second(read, rows: int) -> float:
    """Of processor time, so that a busy machine does not matter."""
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        read()
        best = max(best, rows / (time.process_time() - start))
    return best


def test_twenty_times_as_fast_as_the_default_loader():
    rows, features = 20_000, 72
    x = np.random.default_rng(0).normal(size=(rows, features)).astype(np.float32)
    y = np.arange(rows) % 2
    source = ArrayBatches({"x": x}, {"y": y}, 256)
    table = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(table, 256, shuffle=True)
    epochs = iter(range(100))

    def read_ours() -> None:
        epoch = next(epochs)
        for index in range(epoch * len(source), (epoch + 1) * len(source)):
            _ = source[index]

    ours, theirs = rows_per_second(read_ours, rows), rows_per_second(lambda: list(loader), rows)
    assert ours > 20 * theirs, f"{ours:,.0f} against {theirs:,.0f} rows/s"
