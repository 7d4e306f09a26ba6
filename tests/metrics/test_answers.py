"""Answers in words: the two measures by hand, and verdicts that follow the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.provenance import Origin
from tocsin.metrics.answers import EXACT, F1, Answered, judge_answers, match_exactly, token_f1
from tocsin.metrics.bootstrap import Resampling

ORIGIN = Origin(
    run="r", seed=1, recipe_sha256="0" * 64, data_fingerprint="0" * 64, git_commit=None, git_dirty=None,
    created_at="2026-11-28T00:00:00+00:00",
)  # fmt: skip
HOW = Resampling(resamples=200)


@pytest.mark.parametrize(
    ("found", "wanted", "exact", "f1"),
    [
        ("Use a role.", "use a  ROLE", 1.0, 1.0),
        ("use a role", "use a key", 0.0, 2 / 3),
        ("a a b", "a b b", 0.0, 2 / 3),
        ("", "", 1.0, 1.0),
        ("", "a", 0.0, 0.0),
        ("...", "!", 1.0, 1.0),
    ],
)
def test_measures_by_hand(found: str, wanted: str, exact: float, f1: float) -> None:
    assert match_exactly(found, wanted) == exact
    assert token_f1(found, wanted) == pytest.approx(f1)


@given(st.text(), st.text())
def test_measures_are_fair(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0 <= token_f1(one, other) <= 1
    assert token_f1(one, one) == match_exactly(one, one) == 1
    if match_exactly(one, other):
        assert token_f1(one, other) == 1


def answered(right: float, rows: int = 200, kind: str = "model", seed: int = 0) -> Answered:
    rng = np.random.default_rng(seed)
    return Answered(["yes it is" if hit else "no" for hit in rng.random(rows) < right], kind, "made")


def test_the_better_is_found_and_equals_are_not_told_apart() -> None:
    wanted = ["yes it is"] * 200
    models = {
        "good": answered(0.9), "bad": answered(0.2, kind="baseline", seed=1), "twin": answered(0.9),
        "close": answered(0.88, seed=2),
    }  # fmt: skip
    report = judge_answers(wanted, models, HOW, 0.01, ORIGIN)
    verdicts = {c.other: c.verdict for c in report.comparisons}
    assert verdicts == {"bad": "better", "twin": "no evidence", "close": "under-powered"}
    exact = report.models["good"].metrics[EXACT]
    assert exact.low < exact.value < exact.high
    assert exact.value == pytest.approx(np.mean([t == "yes it is" for t in models["good"].texts]))
    turned = judge_answers(wanted, {"bad": models["bad"], "good": models["good"]}, HOW, 0.01, ORIGIN)
    assert turned.comparisons[0].verdict == "worse"
    assert turned.comparisons[0].difference.value == pytest.approx(-report.comparisons[0].difference.value)
    assert len(report.sentences()) == 3
    assert F1 in report.sentences()[0]
