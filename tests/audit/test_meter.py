"""The leak meter against truths that are known because the rows were made. R27: within a point."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.made import Made, flows, rows_of
from tocsin.audit.findings import LeakMeter
from tocsin.audit.meter import auc_deviation, measure_leak
from tocsin.audit.probe import fit_probe
from tocsin.audit.sides import Sides
from tocsin.core.recipe import SplitSection
from tocsin.data.dataset import Dataset
from tocsin.data.splits import split


def meter(made: Made) -> LeakMeter:
    (fold,) = split(made.dataset, made.stated.split, made.official)
    found = measure_leak(Sides(made.dataset, fold, made.official, made.stated))
    assert found is not None
    return found


def hosts(rng: np.random.Generator, count: int, flows_each: int) -> Dataset:
    """Hosts whose flows are nearly the same, each with a label that mostly has nothing to do with them.

    A model that has seen a flow of a host knows the host's label; one that has not knows little.
    """
    place = rng.uniform(1, 1000, (count, 6))
    label = (rng.random(count) < 1 / (1 + np.exp(-(place[:, 0] - 500) / 150))).astype(int)
    every = np.repeat(np.arange(count), flows_each)
    columns = {f"x{i}": np.round(place[every, i], 6) for i in range(6)}
    return rows_of(columns, label[every])


def truth(rng_seed: int, count: int, flows_each: int, section: SplitSection) -> tuple[float, float]:
    """Return what both figures really are, from twenty fresh draws: hosts held out, and rows held out."""
    honest, naive = [], []
    for draw in range(20):
        rng = np.random.default_rng([rng_seed, draw])
        data = hosts(rng, count, flows_each)
        host = np.arange(len(data)) // flows_each
        for figures, held in (
            (honest, np.isin(host, rng.choice(count, round(section.test * count), replace=False))),
            (naive, rng.random(len(data)) < section.test),
        ):
            probe = fit_probe({n: v[~held] for n, v in data.columns.items()}, data.label[~held])
            score = probe.predict({n: v[held] for n, v in data.columns.items()})
            figures.append(roc_auc_score(data.label[held], score))
    return float(np.mean(naive)), float(np.mean(honest))


def test_both_figures_are_the_truth_within_a_point():
    """R27, on hosts of five flows each: the meter, averaged over ten sets, against fresh draws of the same world."""
    section = SplitSection(digits=6)
    naive, honest = truth(1, 700, 5, section)
    assert naive - honest > 0.1, "there is a leak to measure"
    stated = replace(Made(flows(1)).stated, split=section)
    found = [meter(Made(hosts(np.random.default_rng(100 + s), 700, 5), stated=stated)) for s in range(10)]
    assert np.mean([m.naive for m in found]) == pytest.approx(naive, abs=0.01)
    assert np.mean([m.honest for m in found]) == pytest.approx(honest, abs=0.01)


def test_a_leak_is_said_in_words_and_warned_of():
    data = hosts(np.random.default_rng(5), 600, 5)
    report = Made(data).audit()
    leak = report.leak
    assert leak is not None
    assert leak.sentence.startswith(
        f"the naive split would have claimed {leak.naive:.3f}; the honest figure is {leak.honest:.3f}"
    )
    (finding,) = [f for f in report.findings if f.name == "leak meter"]
    assert finding.severity == "warning"
    assert "a split that only shuffles would have" in finding.message


def test_without_copies_there_is_no_leak():
    """Negative control: the same world, one flow a host."""
    for seed in range(3):
        report = Made(hosts(np.random.default_rng(seed), 1500, 1)).audit()
        (finding,) = [f for f in report.findings if f.name == "leak meter"]
        assert finding.severity == "info"
        assert report.leak is not None
        assert abs(report.leak.naive - report.leak.honest) < 4 * report.leak.noise


def test_an_official_test_is_put_beside_a_shuffled_split_of_training():
    other = flows(9, rows=900, name="test.csv")
    order = np.random.default_rng(0).permutation(
        900
    )  # there, packets and bytes have nothing to do with attacks
    changed = {n: v[order] if n in ("bytes", "packets") else v for n, v in other.columns.items()}
    leak = meter(Made(flows(8), replace(other, columns=changed)))
    assert leak.official
    assert leak.naive > leak.honest
    assert leak.sentence.startswith("a random split of the training file would have claimed")
    assert "the official test gives" in leak.sentence


def test_the_spread_of_an_auc_is_that_of_fresh_draws():
    """The oracle: 2,000 draws of two normal distributions; the formula, of exponential ones, is a little wider."""
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], [60, 140])
    drawn = [roc_auc_score(label, rng.normal(label * 1.2, 1)) for _ in range(2000)]
    assert auc_deviation(float(np.mean(drawn)), 60, 140) == pytest.approx(np.std(drawn), rel=0.15)
    assert auc_deviation(1.0, 10, 10) == 0.0


def test_the_same_rows_give_the_same_figures():
    assert meter(Made(flows(10))) == meter(Made(flows(10)))
