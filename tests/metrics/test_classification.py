"""Oracle: scikit-learn. Properties: permutations, reversal, monotone maps, counts against repeated rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from tocsin.core.errors import InputError
from tocsin.metrics.classification import (
    BINS,
    METRICS,
    judge,
    measure,
    pr_points,
    reliability,
    roc_points,
    score_categories,
)


@st.composite
def answers(draw):
    """Truth of both classes and probabilities, with ties, exact 0 and exact 1 among them."""
    grid = st.integers(0, 12).map(lambda i: i / 12)
    rows = draw(st.lists(st.tuples(st.booleans(), grid), min_size=2, max_size=60))
    truth, probability = (
        np.array([0, 1] + [int(t) for t, _ in rows]),
        np.array([0.5, 0.5] + [p for _, p in rows]),
    )
    return truth, probability, draw(grid)


def by_sklearn(truth, probability, threshold):
    predicted = (probability >= threshold).astype(int)
    fpr, tpr, _ = oracle.roc_curve(truth, probability, drop_intermediate=False)
    return {
        "accuracy": oracle.accuracy_score(truth, predicted),
        "precision": oracle.precision_score(truth, predicted, zero_division=np.nan),
        "recall": oracle.recall_score(truth, predicted),
        "f1": oracle.f1_score(truth, predicted),
        "f1_macro": oracle.f1_score(truth, predicted, average="macro"),
        "f1_macro_even": oracle.f1_score(truth, probability >= 0.5, average="macro"),
        "false_positive_rate": 1 - oracle.recall_score(truth, predicted, pos_label=0),
        "roc_auc": oracle.roc_auc_score(truth, probability),
        "pr_auc": oracle.average_precision_score(truth, probability),
        "recall_at_fpr_0.01": tpr[fpr <= 0.01].max(),
        "recall_at_fpr_0.001": tpr[fpr <= 0.001].max(),
        "brier": oracle.brier_score_loss(truth, probability),
        "ece": naive_ece(truth, probability),
    }


def naive_ece(truth, probability):
    total = 0.0
    for k in range(BINS):
        inside = [i for i, p in enumerate(probability) if k == min(int(p * BINS), BINS - 1)]
        if inside:
            total += abs(truth[inside].mean() - probability[inside].mean()) * len(inside)
    return total / len(truth)


@given(answers())
def test_every_metric_equals_scikit_learn(given_answers):
    found = measure(judge(*given_answers))
    expected = by_sklearn(*given_answers)
    assert set(found) == set(expected) == set(METRICS)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_recall_at_a_rate_on_many_rows():
    rng = np.random.default_rng(0)
    truth = rng.random(20_000) < 0.3
    probability = np.round(1 / (1 + np.exp(-rng.normal(2 * truth - 1, 1))), 2)  # many ties
    found, expected = measure(judge(truth, probability, 0.5)), by_sklearn(truth.astype(int), probability, 0.5)
    assert 0 < found["recall_at_fpr_0.001"] < found["recall_at_fpr_0.01"]
    assert found == pytest.approx(expected, abs=1e-12)


@given(answers(), st.data())
def test_counts_equal_repeated_rows(given_answers, data):
    """Negative control of the bootstrap: a resample by counts is the resample itself."""
    truth, probability, threshold = given_answers
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(truth), max_size=len(truth))))
    counts[:2] = np.maximum(counts[:2], 1)
    again = judge(np.repeat(truth, counts), np.repeat(probability, counts), threshold)
    assert measure(judge(*given_answers), counts) == pytest.approx(measure(again), abs=1e-12, nan_ok=True)


@given(answers(), st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(given_answers, seed):
    truth, probability, threshold = given_answers
    order = np.random.default_rng(seed).permutation(len(truth))
    shuffled = measure(judge(truth[order], probability[order], threshold))
    assert shuffled == pytest.approx(measure(judge(*given_answers)), abs=1e-12, nan_ok=True)


@given(answers())
def test_reversed_scores_mirror_the_auc(given_answers):
    truth, probability, threshold = given_answers
    forward, backward = (
        measure(judge(truth, p, threshold))["roc_auc"] for p in (probability, 1 - probability)
    )
    assert forward == pytest.approx(1 - backward, abs=1e-12)


@given(answers())
def test_ranks_are_all_that_counts(given_answers):
    truth, probability, _ = given_answers
    plain, squared = (measure(judge(truth, p, 0.5)) for p in (probability, probability**2))
    for name in ("roc_auc", "pr_auc", "recall_at_fpr_0.01", "recall_at_fpr_0.001"):
        assert plain[name] == squared[name]


def test_one_class_leaves_what_is_undefined_undefined():
    found = measure(judge(np.ones(5), np.linspace(0, 1, 5), 0.5))
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"false_positive_rate", "roc_auc", "recall_at_fpr_0.01", "recall_at_fpr_0.001"}
    assert found["recall"] == 0.6
    assert np.isnan(measure(judge(np.zeros(5), np.linspace(0, 1, 5), 0.5))["pr_auc"])


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([0, 1], [0.5], "cannot be compared"),
        ([], [], "cannot be compared"),
        ([0, 1], [0.5, 1.5], "row 1: 1.5 is not a probability"),
        ([0, 1], [float("nan"), 0.5], "row 0: nan"),
        ([0, -1], [0.5, 0.5], "row 1: the label -1"),
    ],
)
def test_what_cannot_be_judged_is_refused(truth, probability, message):
    with pytest.raises(InputError, match=message):
        judge(np.array(truth), np.array(probability), 0.5)


def test_thinned_curves_keep_their_area():
    rng = np.random.default_rng(1)
    truth = rng.random(30_000) < 0.4
    probability = 1 / (1 + np.exp(-rng.normal(1.5 * truth, 1)))
    judged = judge(truth, probability, 0.5)
    (fpr, tpr), (recall, precision) = roc_points(judged), pr_points(judged)
    assert len(fpr) <= 201
    assert len(recall) <= 201
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert recall[-1] == 1
    assert (np.diff(recall) >= 0).all()
    found = measure(judged)
    assert np.trapezoid(tpr, fpr) == pytest.approx(found["roc_auc"], abs=1e-3)
    assert np.trapezoid(precision, recall) == pytest.approx(found["pr_auc"], abs=5e-3)


def test_curves_of_one_class_are_empty():
    judged = judge(np.zeros(3), np.array([0.1, 0.2, 0.3]), 0.5)
    assert [len(axis) for axis in (*roc_points(judged), *pr_points(judged))] == [0, 0, 0, 0]


@given(answers())
def test_reliability_adds_up(given_answers):
    judged = judge(*given_answers)
    bins = reliability(judged)
    assert sum(rows for _, _, rows in bins) == len(judged.truth)
    gap = sum(abs(share - mean) * rows for mean, share, rows in bins) / len(judged.truth)
    assert gap == pytest.approx(measure(judged)["ece"], abs=1e-12)


def test_categories_equal_scikit_learn():
    rng = np.random.default_rng(2)
    names = np.array(["dos", "probe", "r2l"], dtype=object)
    truth, predicted = names[rng.integers(0, 3, 200)], names[rng.integers(0, 2, 200)]
    found = score_categories(truth, predicted)
    assert found.f1_macro == pytest.approx(
        oracle.f1_score(truth, predicted, average="macro", zero_division=0)
    )
    assert [c.name for c in found.classes] == ["dos", "probe", "r2l"]
    assert found.classes[2].recall == found.classes[2].precision == 0
    assert sum(map(sum, found.matrix)) == 200
    assert [sum(row) for row in found.matrix] == [c.rows for c in found.classes]
