"""Arrays that are lent: the same values, mapped and not copied, and nobody's change is anybody else's."""

import numpy as np

from tocsin.engine.lending import LEAST, Lent, borrow, lend, take_back


def made():
    rng = np.random.default_rng(0)
    return {
        "large": rng.normal(size=(LEAST // 8, 2)).astype(np.float32),
        "small": rng.integers(0, 9, 10),
        "text": np.array(["a", None] * LEAST, dtype=object),
    }


def test_what_comes_back_is_what_was_lent(tmp_path):
    arrays = made()
    lent = lend(arrays, tmp_path / "lent")
    assert [name for name, values in lent.items() if isinstance(values, Lent)] == ["large"]
    found = borrow(lent)
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)
    assert isinstance(found["large"], np.memmap)


def test_a_change_stays_with_the_one_who_made_it(tmp_path):
    lent = lend(made(), tmp_path)
    first, second = borrow(lent)["large"], borrow(lent)["large"]
    first[0] = 7
    assert (second[0] != 7).all()
    assert np.array_equal(borrow(lent)["large"], made()["large"])


def test_what_is_mapped_outlives_the_files(tmp_path):
    folder = tmp_path / "lent"
    found = borrow(lend(made(), folder))
    take_back(folder)
    take_back(folder)  # nothing is there any more
    assert not folder.exists()
    assert np.array_equal(found["large"], made()["large"])
