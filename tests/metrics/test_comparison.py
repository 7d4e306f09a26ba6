"""Thresholds come from validation, numbers from the test, verdicts from paired differences."""

import json

import numpy as np
import pytest

from tocsin.core.durable import json_bytes
from tocsin.core.errors import InputError
from tocsin.core.provenance import Origin
from tocsin.core.recipe import EvaluationSection
from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.comparison import Scores, Truth, compare_models, conclude
from tocsin.metrics.evaluation import EvaluationReport, evaluate_binary
from tocsin.metrics.thresholds import choose_threshold

ORIGIN = Origin(
    run="runs/x",
    seed=1,
    recipe_sha256="r",
    data_fingerprint="d",
    git_commit=None,
    git_dirty=None,
    created_at="2026-11-20T00:00:00+00:00",
)
SECTION = EvaluationSection(resamples=200, max_false_positive_rate=0.05, confidence=None)
ROWS = 800
RNG = np.random.default_rng(0)
VALID, TEST = RNG.integers(0, 2, ROWS), RNG.integers(0, 2, ROWS)
NOISE = RNG.normal(size=(2, ROWS))


def scores(shift, noise=NOISE, kind="model"):
    """Probabilities that tell the classes apart the better the larger the shift."""
    valid, test = (
        1 / (1 + np.exp(-(n + shift * (t - 0.5)))) for n, t in zip(noise, (VALID, TEST), strict=True)
    )
    return Scores(valid, test, kind)


def compare(models, primary="ours", **truth):
    return compare_models(Truth(VALID, TEST, **truth), models, SECTION, primary, ORIGIN)


def verdicts(report):
    return {(c.other, c.metric): c.verdict for c in report.comparisons}


def test_a_better_model_is_called_better():
    report = compare({"ours": scores(2.0), "weak": scores(1.0, kind="baseline")})
    assert verdicts(report) == {("weak", "roc_auc"): "better", ("weak", "recall"): "better"}
    back = compare({"ours": scores(2.0), "weak": scores(1.0)}, primary="weak")
    assert set(verdicts(back).values()) == {"worse"}
    lines = conclude(report)
    assert lines[0].startswith("ours has the highest ROC-AUC")
    assert lines[1].startswith(
        "ours is better than every baseline in ROC-AUC; the closest is weak (difference +"
    )


def test_an_equal_model_is_no_evidence():
    """The same skill with independent noise, and exactly the same answers."""
    other = scores(1.5, np.random.default_rng(5).normal(size=(2, ROWS)), "baseline")
    report = compare({"ours": scores(1.5), "other": other, "copy": scores(1.5)})
    assert set(verdicts(report).values()) <= {"no evidence", "under-powered"}
    assert verdicts(report)["copy", "roc_auc"] == "no evidence"  # so paired that 800 rows would show 0.01
    copies = [c.difference for c in report.comparisons if c.other == "copy"]
    assert all(d.value == d.low == d.high == 0 for d in copies)  # paired: not the sum of two spreads
    assert any("too few to tell ours and other apart in ROC-AUC" in line for line in conclude(report))


def test_no_evidence_is_said_only_where_a_difference_of_interest_would_show():
    """The same two models: what is of interest decides between no evidence and too little power."""
    other = scores(1.5, np.random.default_rng(5).normal(size=(2, ROWS)), "baseline")
    models = {"ours": scores(1.5), "other": other}
    for smallest, verdict in ((0.01, "under-powered"), (0.2, "no evidence")):
        section = SECTION.model_copy(update={"smallest_difference": smallest})
        report = compare_models(Truth(VALID, TEST), models, section, "ours", ORIGIN)
        (found,) = (c for c in report.comparisons if c.metric == "roc_auc")
        assert found.verdict == verdict
        assert 0.01 < found.minimum_detectable < 0.2
        assert found.smallest == smallest
    assert any("no evidence that ours is better than other in ROC-AUC" in line for line in conclude(report))


def test_a_better_baseline_is_named():
    report = compare({"ours": scores(1.0), "forest": scores(2.5, kind="baseline")})
    assert "ours is worse than forest in ROC-AUC" in conclude(report)[1]
    assert conclude(report)[0].startswith("forest has")


def test_one_column_that_comes_close_raises_an_alarm():
    alarms = [
        [
            line
            for line in conclude(compare({"ours": scores(2.0), "stump": scores(shift, kind="baseline")}))
            if "shortcut" in line
        ]
        for shift in (1.0, 1.95)
    ]
    assert [len(found) for found in alarms] == [0, 1]


@pytest.mark.parametrize("pairs", [60])
def test_equal_models_are_rarely_told_apart(pairs):
    """Type-I error: at a level of 5 %, more than 9 of 60 happens once in a thousand."""
    wrong = 0
    for seed in range(pairs):
        noise = np.random.default_rng(seed).normal(size=(2, 2, ROWS))
        found = verdicts(compare({"ours": scores(1.5, noise[0]), "other": scores(1.5, noise[1])}))
        wrong += found["other", "roc_auc"] in ("better", "worse")
    assert wrong <= 9


def test_thresholds_come_from_validation_alone():
    ours = scores(2.0)
    report = compare({"ours": ours})
    chosen = choose_threshold(VALID, ours.valid, 0.05)
    model = report.models["ours"]
    assert model.threshold == model.operating_point.threshold == chosen.value
    assert model.operating_point.valid_negatives == (VALID == 0).sum()
    assert chosen.false_positives / chosen.negatives <= 0.05 <= model.operating_point.upper_bound
    shuffled = compare_models(Truth(VALID, 1 - TEST), {"ours": ours}, SECTION, "ours", ORIGIN)
    assert shuffled.models["ours"].threshold == chosen.value
    rate = model.metrics["false_positive_rate"]
    assert model.operating_point.false_alerts_per_day.value == pytest.approx(rate.value * 1_000_000)


def test_calibration_changes_no_answer():
    ours = scores(2.0)
    squared = Scores(ours.valid**2, ours.test**2)
    one, two = (compare({"ours": s}).models["ours"] for s in (ours, squared))
    assert one.confusion == two.confusion
    assert one.metrics["roc_auc"] == two.metrics["roc_auc"]
    assert one.metrics["ece"] != two.metrics["ece"]


def test_slices_of_kinds_known_and_unseen():
    category = np.array(
        ["" if not t else "dos" if i % 3 else "worm" for i, t in enumerate(TEST)], dtype=object
    )
    service = np.array(["http", "dns"], dtype=object)[np.arange(ROWS) % 2]
    report = compare(
        {"ours": scores(2.0)}, slices={"service": service}, category=category, known=frozenset({"dos"})
    )
    found = {(s.by, s.name): s for s in report.models["ours"].slices}
    assert set(found) == {
        ("service", "dns"), ("service", "http"), ("category", "dos"), ("category", "worm"),
        ("in training", "seen"), ("in training", "unseen"),
    }  # fmt: skip
    unseen = found["in training", "unseen"]
    assert unseen.rows == unseen.positives == (category == "worm").sum()
    assert unseen.false_positive_rate.value is None
    assert unseen.roc_auc is None
    assert unseen.recall.low < unseen.recall.value < unseen.recall.high
    assert found["service", "dns"].rows + found["service", "http"].rows == ROWS
    assert found["service", "dns"].roc_auc > 0.8


def test_few_rows_are_marked():
    few = np.array(["rare"] * 3 + ["common"] * (ROWS - 3), dtype=object)
    found = {
        s.name: s.too_few for s in evaluate_binary(TEST, scores(1.0).test, 0.5, slices={"x": few}).slices
    }
    assert found == {"rare": True, "common": False}


def test_the_report_survives_json():
    report = compare(
        {"ours": scores(2.0), "flat": Scores(np.full(ROWS, 0.5), np.full(ROWS, 0.5), "baseline")}
    )
    assert EvaluationReport.model_validate_json(json_bytes(report)) == report
    assert report.models["flat"].metrics["precision"].value is None  # nothing flagged: undefined, and no NaN
    assert json.loads(json_bytes(report))["models"]["flat"]["metrics"]["recall"]["value"] == 0


def test_one_class_in_the_test_is_no_crash():
    report = compare_models(
        Truth(VALID, np.ones(ROWS)), {"ours": scores(1.0), "b": scores(2.0)}, SECTION, "ours", ORIGIN
    )
    assert report.models["ours"].metrics["roc_auc"].value is None
    assert {c.verdict for c in report.comparisons if c.metric == "roc_auc"} == {"under-powered"}
    assert "one class only" in conclude(report)[0]


def test_equal_seeds_give_equal_reports():
    models = {"ours": scores(2.0), "b": scores(1.0)}
    assert json_bytes(compare(models)) == json_bytes(compare(models))


def test_groups_widen_the_intervals():
    group = np.arange(ROWS) // 40
    noise = np.repeat(NOISE[:, ::40], 40, axis=1)
    plain, grouped = (
        compare({"ours": scores(1.5, noise)}, group=g).models["ours"].metrics for g in (None, group)
    )
    for name in ("roc_auc", "recall", "false_positive_rate"):
        widths = [m[name].high - m[name].low for m in (plain, grouped)]
        assert widths[1] > 1.5 * widths[0], name


def test_no_false_positive_is_no_proof_of_none():
    """The bootstrap of a share of 0 is 0 to 0; the interval here is not."""
    truth, probability = np.array([0] * 50 + [1] * 50), np.array([0.1] * 50 + [0.9] * 50)
    for group in (None, np.arange(100)):
        found = evaluate_binary(truth, probability, 0.5, how=Resampling(100, group=group)).metrics
        assert found["false_positive_rate"].value == found["false_positive_rate"].low == 0
        assert found["false_positive_rate"].high > 0.05
        assert found["recall"].low < 0.95


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="no scores of the model 'our'; did you mean 'ours'"):
        compare({"ours": scores(1.0)}, primary="our")
    few = Truth(np.ones(ROWS), TEST)
    with pytest.raises(InputError, match="at least 20 negative validation rows, there are 0"):
        compare_models(few, {"ours": scores(1.0)}, SECTION, "ours", ORIGIN)
