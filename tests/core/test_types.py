import math
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from tocsin.core.types import (
    Evidence,
    Place,
    Sample,
    holds_text,
    is_numeric,
    is_sequence,
    rows,
    tabulate,
    take,
    untabulate,
)


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


class Graph(Sample):
    """Sequences of numbers beside a number: the third kind of column."""

    nodes: tuple[int, ...] = ()
    edges: tuple[tuple[int, int], ...] | None = None
    words: list[str] = Field(default_factory=list)
    kind: Literal["a", "b"] = "a"
    weight: float | None = None


GRAPHS = st.lists(
    st.builds(
        Graph,
        nodes=st.lists(st.integers(0, 9), max_size=4).map(tuple),
        edges=st.none() | st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3).map(tuple),
        words=st.lists(st.text(max_size=3), max_size=2),
        weight=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    )
)


def test_sequences_are_neither_numbers_nor_texts():
    kinds = {name: (is_numeric(Graph, name), is_sequence(Graph, name)) for name in Graph.model_fields}
    assert kinds == {
        "nodes": (False, True), "edges": (False, True), "words": (False, True), "kind": (False, False),
        "weight": (True, False),
    }  # fmt: skip


@given(GRAPHS)
def test_sequences_stay_what_they_were(samples: list[Graph]):
    """Rows alike in length too, of which numpy would make one table."""
    columns = tabulate(samples, Graph)
    assert all(values.shape == (len(samples),) for values in columns.values())
    assert columns["nodes"].tolist() == [sample.nodes for sample in samples]
    for i, sample in enumerate(samples):
        assert Graph.model_validate(untabulate(columns, i)) == sample


def test_a_column_tells_whether_it_holds_texts():
    columns = tabulate([Mixed(text=None), Mixed(text="a")], Mixed) | tabulate([Graph(), Graph()], Graph)
    assert [n for n, values in columns.items() if holds_text(values)] == ["text", "word", "kind"]
    assert not holds_text(columns["edges"]), "nothing is there"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(where="text", start=69, stop=85), "text[69:85]"),
        (Place(where="service"), "service"),
        (Place(where="app.py", line=12, column=4), "app.py:12:4"),
        (Place(where="inbox.mbox#12"), "inbox.mbox#12"),
    ],
)
def test_a_place_can_be_said_in_words(place: Place, words: str):
    assert str(place) == words == Evidence(kind="passage", place=place, value="", weight=1.0).name


def test_a_place_begins_somewhere():
    with pytest.raises(ValidationError):
        Place(where="text", start=-1)
    with pytest.raises(ValidationError):
        Place(where="text", line=0)
