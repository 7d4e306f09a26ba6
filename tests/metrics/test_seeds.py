"""Over test rows and seeds: the interval holds the truth, where a bootstrap of three seeds does not."""

import numpy as np
import pytest

from tocsin.metrics.bootstrap import Resampling
from tocsin.metrics.classification import judge, measure
from tocsin.metrics.seeds import OverSeeds, average, over_seeds, weigh

METRICS = ("f1", "recall", "roc_auc")


def shares(trials, seeds, item_error, seed_error):
    """How often the interval, and a bootstrap of rows and seeds together, hold the true mean of 0."""
    rng, ours, naive = np.random.default_rng(0), 0, 0
    for _ in range(trials):
        values = rng.normal(0, item_error) + rng.normal(0, seed_error, seeds)
        half = 1.96 * item_error
        low, high = OverSeeds(
            tuple(values), (values.mean() - half, values.mean() + half), item_error, (-np.inf, np.inf)
        ).interval()
        ours += low <= 0 <= high
        drawn = rng.normal(0, item_error, 300) + values[rng.integers(0, seeds, (300, seeds))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        naive += low <= 0 <= high
    return ours / trials, naive / trials


@pytest.mark.parametrize("seed_error", [0.01, 1.0, 10.0])
def test_three_seeds_are_covered(seed_error):
    ours, naive = shares(500, 3, 1.0, seed_error)
    assert ours >= 0.92
    if seed_error == 10.0:
        assert naive < 0.85  # negative control: three seeds, drawn with replacement, are too alike


@pytest.mark.release
@pytest.mark.parametrize(("seed_error", "most"), [(0.01, 0.97), (0.3, 0.97), (1.0, 0.985), (10.0, 0.97)])
def test_three_seeds_at_full_size(seed_error, most):
    """R28; where rows and seeds weigh alike the two parts add up to a little too much (97.5 %), never too little."""
    ours, _ = shares(4000, 3, 1.0, seed_error)
    assert 0.93 <= ours <= most


def trained(seeds, shift, rows=400, wobble=0.0, noise=0):
    """Judgements of a model that each seed makes a little better or worse."""
    truth = np.arange(rows) % 2
    common = np.random.default_rng(noise).normal(size=rows)
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng([noise, seed])
        skill = shift + wobble * rng.normal()
        score = skill * truth + common + 0.3 * rng.normal(size=rows)
        found.append(judge(truth, 1 / (1 + np.exp(-(score - skill / 2))), 0.5))
    return found


def summarise(models, group=None):
    truth = next(iter(models.values()))[0].truth
    how = Resampling(200, 1, group=group)
    return over_seeds(models, METRICS, how, (int((~truth).sum()), int(truth.sum())))


def test_means_and_deviations_are_those_of_the_seeds():
    models = {"ours": trained(3, 2.0, wobble=0.3), "other": trained(3, 1.0)}
    found = summarise(models)
    for name, judged in models.items():
        values = [measure(j)["f1"] for j in judged]
        assert found.models[name]["f1"].by_seed == pytest.approx(values)
        assert found.models[name]["f1"].mean == pytest.approx(np.mean(values))
        assert found.models[name]["f1"].std == pytest.approx(np.std(values, ddof=1))
        low, high = found.models[name]["f1"].interval()
        assert 0 <= low < np.mean(values) < high <= 1
    difference = found.against["other"]["f1"]
    assert difference.mean == pytest.approx(
        found.models["ours"]["f1"].mean - found.models["other"]["f1"].mean
    )
    assert weigh("f1", difference, 0.01) == "better"


def test_seeds_that_lie_apart_widen_the_interval():
    calm, wild = (summarise({"a": trained(3, 2.0, wobble=w)}).models["a"]["f1"] for w in (0.0, 0.8))
    width = [high - low for low, high in (calm.interval(), wild.interval())]
    assert width[1] > 1.5 * width[0]
    assert wild.items[1] - wild.items[0] < width[1]


def test_a_model_that_no_seed_changes_is_as_sure_as_its_rows():
    same = trained(1, 2.0) * 3
    found = summarise({"a": same}).models["a"]["f1"]
    assert found.std == 0
    assert found.interval() == pytest.approx(found.items)


def test_one_seed_says_nothing_about_seeds():
    found = summarise({"a": trained(1, 2.0), "b": trained(1, 1.0)})
    assert np.isnan(found.models["a"]["f1"].std)
    assert np.isnan(found.models["a"]["f1"].interval()).all()
    assert weigh("f1", found.against["b"]["f1"], 0.01) == "under-powered"


def test_no_false_positive_is_no_proof_of_none():
    silent = [judge(np.arange(200) % 2, np.full(200, 0.2), 0.5)] * 3
    how = Resampling(100)
    found = over_seeds({"a": silent}, ("false_positive_rate",), how, (100, 100)).models["a"]
    assert found["false_positive_rate"].interval() == pytest.approx((0.0, 0.037), abs=1e-3)


def test_folds_are_averaged_seed_by_seed():
    one = OverSeeds((0.5, 0.7), (0.55, 0.65), 0.02, (0, 1))
    two = OverSeeds((0.7, 0.9), (0.70, 0.90), 0.06, (0, 1))
    found = average([one, two])
    assert found.by_seed == pytest.approx((0.6, 0.8))
    assert found.items == pytest.approx((0.625, 0.775))
    assert found.error == pytest.approx(0.04)
    assert found.bounds == (0, 1)


def test_the_minimum_over_seeds_grows_with_what_seeds_do():
    steady = OverSeeds((0.8, 0.8001, 0.7999), (0.78, 0.82), 0.01)
    assert steady.minimum_detectable() == pytest.approx(2.8 * 0.01, rel=0.02)
    wild = OverSeeds((0.7, 0.8, 0.9), (0.78, 0.82), 0.01)
    assert wild.minimum_detectable() > 0.2
