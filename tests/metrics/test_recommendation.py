"""The simpler model is recommended where it is as good, and only there."""

import numpy as np
import pytest

from tocsin.core.provenance import Origin
from tocsin.core.recipe import EvaluationSection
from tocsin.metrics.comparison import Scores, Truth, compare_models
from tocsin.metrics.recommendation import recommend_simpler

ORIGIN = Origin(
    run="r", seed=0, recipe_sha256="", data_fingerprint="", git_commit=None, git_dirty=None, created_at=""
)


def recommended(ours: float, theirs: float, rows: int = 6000, same: float = 0.0) -> str:
    """Two models that see the truth behind noise: how much of it they see, and how alike they are."""
    rng = np.random.default_rng(0)
    label = (rng.random(2 * rows) < 0.4).astype(int)
    shared = rng.normal(size=2 * rows)

    def probability(sees: float) -> np.ndarray:
        noise = same * shared + np.sqrt(1 - same**2) * rng.normal(size=2 * rows)
        return 1 / (1 + np.exp(-(sees * label + noise - 1)))

    scores = {}
    for name, sees, kind in (
        ("net", ours, "model"),
        ("lightgbm", theirs, "baseline"),
        ("majority", 0, "baseline"),
    ):
        p = probability(sees) if name != "majority" else np.full(2 * rows, 0.4)
        scores[name] = Scores(p[:rows], p[rows:], kind)  # type: ignore[arg-type]
    section = EvaluationSection(resamples=200, confidence=None)
    report = compare_models(Truth(label[:rows], label[rows:]), scores, section, "net", ORIGIN)
    return " ".join(recommend_simpler(report))


def test_a_better_model_is_not_talked_out_of() -> None:
    assert recommended(3.0, 1.0) == ""


def test_a_worse_one_is() -> None:
    said = recommended(1.0, 3.0)
    assert said.startswith("Recommended: ship lightgbm (export.ship: lightgbm)")
    assert "better in ROC-AUC and recall" in said


def test_one_that_is_as_good_is_named_with_what_may_be_lost() -> None:
    said = recommended(3.0, 3.0, same=0.99999)
    assert "as good: at most 0.00" in said


def test_few_rows_are_no_proof_of_being_as_good() -> None:
    said = recommended(1.0, 1.0, rows=300)
    assert said.startswith("Nothing shows yet that net is worth more than the simpler lightgbm")
    assert "more test rows" in said


@pytest.mark.parametrize("primary", ["lightgbm", "majority"])
def test_a_baseline_that_is_shipped_needs_no_recommendation(primary: str) -> None:
    rng = np.random.default_rng(0)
    label = np.arange(1000) % 2
    scores = {
        name: Scores(rng.random(500), rng.random(500), "model" if name == "net" else "baseline")
        for name in ("net", "lightgbm", "majority")
    }
    truth = Truth(label[:500], label[500:])
    report = compare_models(truth, scores, EvaluationSection(resamples=100, confidence=None), primary, ORIGIN)
    assert recommend_simpler(report) == ()
