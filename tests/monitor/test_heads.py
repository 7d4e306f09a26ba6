"""Every kind of head has its distribution, and what stands behind the end of a row does not count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.axes import Axis
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.heads import LOGIT, Head
from tocsin.core.types import column
from tocsin.monitor.heads import Answers, describe_head, describe_scores, strongest

PLACES = Axis("places", length="length")
YES, NO = 9.0, -9.0


def answers(outputs, lengths=None, columns=None, **calibration) -> Answers:
    arrays = {name: np.array(values, dtype=np.float32) for name, values in outputs.items()}
    sizes = {} if lengths is None else {"length": np.array(lengths)}
    return Answers(arrays, Asked(columns or {}, sizes, ()), Calibration("bad", "good", **calibration))


def logit_of(probability) -> np.ndarray:
    return np.log(probability) - np.log1p(-np.array(probability))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_scores(values):
    found = describe_scores(np.array(values))
    assert sum(found.shares) == pytest.approx(1)
    assert len(found.edges) == len(found.shares) + 1 == 21
    assert found.mean == pytest.approx(np.mean(values))


def test_a_decision_says_what_became_of_the_rows():
    seen = answers({"logit": logit_of([0.1, 0.55, 0.7, 0.9])}, threshold=0.6, abstain_below=0.5)
    found = describe_head(LOGIT, seen)
    assert (found.above, found.abstained) == (0.5, 0.25)
    assert found.quantiles[-1] == pytest.approx(0.9)
    assert found.probability.mean == pytest.approx(np.mean([0.1, 0.55, 0.7, 0.9]))


def test_nobody_abstains_without_a_band():
    assert describe_head(LOGIT, answers({"logit": [0.0, 1.0]}, threshold=0.6)).abstained == 0


def test_a_decision_is_read_with_its_temperature():
    hot, cold = (describe_head(LOGIT, answers({"logit": [2.0]}, temperature=t)) for t in (4.0, 1.0))
    assert hot.probability.mean == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert cold.probability.mean > hot.probability.mean


def test_rows_have_the_threshold_of_their_value():
    values = {"channel": column(["mail", "sms", None], numeric=False)}
    how = {"threshold": 0.9, "sliced_by": "channel", "thresholds": {"sms": 0.5}}
    seen = answers({"logit": logit_of([0.7] * 3)}, columns=values, **how)
    assert describe_head(LOGIT, seen).above == pytest.approx(1 / 3)
    assert describe_head(LOGIT, answers({"logit": logit_of([0.7] * 3)}, threshold=0.9)).above == 0


def test_kinds_are_named_or_numbered():
    head = Head("category", "kinds", (3,))
    outputs = {"category": [[3, 0, 0], [0, 3, 0], [5, 0, 0], [0, 0, 9]]}
    found = describe_head(head, answers(outputs, categories=("scan", "flood", "theft")))
    assert found.shares == {"scan": 0.5, "flood": 0.25, "theft": 0.25}
    assert found.first[-1] == pytest.approx(1, abs=1e-3)
    assert set(describe_head(head, answers(outputs)).shares) == {"0", "1", "2"}


def test_kinds_of_places_leave_the_padding_out():
    head = Head("tags", "kinds", (PLACES, 2))
    seen = answers({"tags": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]}, lengths=[2, 1])
    assert describe_head(head, seen).shares == {"0": pytest.approx(2 / 3), "1": pytest.approx(1 / 3)}


def test_spans_have_lengths_and_may_be_none():
    head = Head("spans", "span", (PLACES, 2))
    logits = np.full((4, 5, 2), NO)
    logits[0, 1, 0] = logits[0, 3, 1] = YES  # places 1 to 3
    logits[1, 2, 0] = logits[1, 1, 1] = YES  # ends before it starts
    logits[2, 0, 0] = logits[2, 4, 1] = YES  # ends behind the end of the row
    found = describe_head(head, answers({"spans": logits}, lengths=[5, 5, 3, 5]))
    assert found.none == 0.75
    assert set(found.lengths) == {3.0}
    whole = describe_head(head, answers({"spans": logits}, lengths=[5, 5, 5, 5]))
    assert (whole.none, whole.lengths[-1]) == (0.5, 5.0)


def test_tokens_are_counted_inside_their_rows():
    head = Head("marks", "tokens", (PLACES,))
    seen = answers({"marks": [[YES, NO, YES], [NO, YES, YES]]}, lengths=[3, 1])
    found = describe_head(head, seen)
    assert found.marked == 0.5
    assert (found.per_row[0], found.per_row[-1]) == (0.0, pytest.approx(2 / 3))


def test_numbers_are_as_they_are():
    found = describe_head(Head("age", "number"), answers({"age": [1.0, 2.0, 6.0]}))
    assert (found.values.mean, found.values.missing) == (3.0, 0.0)
    ragged = answers({"age": [[1.0, 2.0], [3.0, 90.0]]}, lengths=[2, 1])
    assert describe_head(Head("age", "number", (PLACES,)), ragged).values.mean == 2.0


@pytest.mark.parametrize(
    ("head", "values", "wanted"),
    [
        (LOGIT, [0.0, YES], [0.5, 1.0]),
        (Head("k", "kinds", (2,)), [[0, 0], [9, 0]], [0.5, 1.0]),
        (Head("t", "tokens", (PLACES,)), [[NO, 0, YES], [0, YES, YES]], [0.5, 0.5]),
        (Head("s", "span", (PLACES, 2)), [[[NO, 0], [0, 0], [YES, YES]]] * 2, [0.5, 0.5]),
        (Head("n", "number"), [-7.0, 3.0], [-7.0, 3.0]),
    ],
)
def test_the_strongest_of_a_row_is_inside_it(head, values, wanted):
    seen = answers({head.name: values}, lengths=[2, 1])
    assert strongest(head, seen) == pytest.approx(wanted, abs=1e-3)


def test_a_row_of_no_places_has_no_strongest():
    seen = answers({"t": [[YES], [YES]]}, lengths=[1, 0])
    found = strongest(Head("t", "tokens", (PLACES,)), seen)
    assert found[0] == pytest.approx(1, abs=1e-3)
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (LOGIT, (0,)),
        (Head("k", "kinds", (2,)), (0, 2)),
        (Head("s", "span", (PLACES, 2)), (0, 1, 2)),
        (Head("t", "tokens", (PLACES,)), (0, 1)),
        (Head("n", "number"), (0,)),
    ],
)
def test_no_rows_are_described(head, shape):
    seen = answers({head.name: np.zeros(shape)}, lengths=np.zeros(0, dtype=np.int64))
    assert describe_head(head, seen).kind == head.kind
    assert len(strongest(head, seen)) == 0
