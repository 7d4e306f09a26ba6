import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.meters import dataset
from tocsin.core.types import column
from tocsin.data.fingerprint import content_fingerprint, fingerprint, mix, number_keys, row_keys, text_keys
from truths import relabel


def base():
    return dataset([0, 1, 0], ["", "dos", ""], volts=[1.0, 2.0, np.nan], site=["roof", None, "cellar"])


def test_keys_are_those_of_the_published_algorithms():
    """The same on every platform: SplitMix64's first numbers for seeds 0 and 1; `printf a | b2sum -l 64`."""
    assert mix(np.array([0, 1], dtype=np.uint64)).tolist() == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]
    known = int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")
    assert text_keys(["a", None, "a"]).tolist() == [known, 0, known]


def test_it_is_the_same_in_another_process():
    program = "from data.test_fingerprint import base, fingerprint; print(fingerprint(base()))"
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint(base())


CHANGES = {
    "id": lambda d: replace(d, ids=np.array(["f:0", "f:1", "g:2"], dtype=object)),
    "label": lambda d: relabel(d, [0, 1, 1]),
    "category": lambda d: relabel(d, d.label, ["", "probe", ""]),
    "number": lambda d: replace(d, columns={**d.columns, "volts": np.array([1.0, 2.0, 3.0])}),
    "text": lambda d: replace(
        d, columns={**d.columns, "site": np.array(["roof", "", "cellar"], dtype=object)}
    ),
    "name": lambda d: replace(d, columns={"volt": d.columns["volts"], "site": d.columns["site"]}),
    "order": lambda d: d.take(np.array([1, 0, 2])),
    "rows": lambda d: d.take(np.array([0, 1])),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_it_follows_every_change(change):
    assert fingerprint(change(base())) != fingerprint(base())


def test_it_follows_what_the_truth_says_beside_the_label():
    spans = [column([spans, None, ()], numeric=False) for spans in (((0, 4),), ((0, 5),))]
    marked = [replace(base(), truth={**base().truth, "spans": values}) for values in spans]
    for digest in (fingerprint, content_fingerprint):
        assert len({digest(d) for d in (base(), *marked)}) == 3
        assert digest(marked[0]) == digest(replace(marked[0], truth=dict(marked[0].truth)))


def test_it_follows_the_division():
    divisions = [([0, 1], [2]), ([0], [1, 2]), ([], [0, 1, 2]), ([1, 0], [2])]
    prints = {fingerprint(base(), [np.array(part, dtype=np.int64) for part in parts]) for parts in divisions}
    assert len(prints) == len(divisions)
    assert fingerprint(base(), others=[base()]) != fingerprint(base())


@given(st.lists(st.tuples(st.floats(), st.none() | st.text(max_size=3)), min_size=1, max_size=30))
def test_rows_have_equal_keys_when_they_are_equal(rows):
    numbers, texts = zip(*rows, strict=True)
    keys = row_keys({"a": np.array(numbers), "b": np.array(texts, dtype=object)})
    same = [(repr(n + 0.0) if n == n else "nan", t) for n, t in rows]
    for i, key in enumerate(keys):
        assert [key == other for other in keys] == [same[i] == other for other in same]


def test_the_columns_of_a_row_do_not_cancel_out():
    a, b = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    assert len(set(row_keys({"a": a, "b": b}))) == 2
    assert len(set(row_keys({"a": a, "b": a}))) == 2


def test_zero_and_nan_have_one_key_each():
    assert len(set(number_keys(np.array([0.0, -0.0])))) == 1
    assert len(set(number_keys(np.array([np.nan, -np.nan, np.float64("nan")])))) == 1


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=50), st.integers(0, 2**31))
def test_scrambling_is_one_to_one(values: list[int], seed: int):
    assert len(set(mix(np.array(values, dtype=np.uint64), seed).tolist())) == len(values)
