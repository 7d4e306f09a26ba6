import math
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from tocsin.core.types import Sample, is_numeric, rows, tabulate, take, untabulate


class Mixed(Sample):
    """One of each kind; the words hold `int` and `float` on purpose: a kind is no matter of spelling."""

    number: float | None = None
    count: Annotated[int, Field(ge=0)] | None = None
    flag: bool = False
    digit: Literal[0, 1] = 0
    text: str | None = None
    word: Literal["print", "floating", "pointless"] = "print"


SAMPLES = st.lists(
    st.builds(
        Mixed,
        number=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        count=st.none() | st.integers(0, 2**53),
        flag=st.booleans(),
        digit=st.sampled_from([0, 1]),
        text=st.none() | st.text(),
        word=st.sampled_from(["print", "floating", "pointless"]),
    )
)


def test_kinds_are_told_by_type():
    assert [is_numeric(Mixed, name) for name in Mixed.model_fields] == [True, True, True, True, False, False]


@given(SAMPLES)
def test_columns_hold_what_the_samples_held(samples: list[Mixed]):
    columns = tabulate(samples, Mixed)
    assert list(columns) == list(Mixed.model_fields)
    assert rows(columns) == len(samples)
    for name, values in columns.items():
        assert values.dtype == (np.float64 if is_numeric(Mixed, name) else object)
    for i, sample in enumerate(samples):
        assert Mixed.model_validate(untabulate(columns, i)) == sample


@given(SAMPLES)
def test_one_row_gives_what_it_gives_among_others(samples: list[Mixed]):
    together = tabulate(samples, Mixed)
    for i, sample in enumerate(samples):
        alone = tabulate([sample], Mixed)
        for name, values in take(together, np.array([i])).items():
            assert values.tolist() == alone[name].tolist() or (
                math.isnan(values[0]) and math.isnan(alone[name][0])
            )


def test_a_sample_is_closed_and_frozen():
    with pytest.raises(ValidationError, match="extra"):
        Mixed(nonsense=1)
    with pytest.raises(ValidationError, match="frozen"):
        Mixed().number = 2.0


def test_no_columns_have_no_rows():
    assert rows({}) == 0
