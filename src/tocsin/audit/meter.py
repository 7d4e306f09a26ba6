"""The leak meter: what a split that only shuffles rows would have claimed, beside the honest figure.

Shapes: N rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.audit.findings import Finding, LeakMeter
from tocsin.audit.probe import Growth, fit_probe
from tocsin.audit.sides import Sides, has_both
from tocsin.data.dataset import Dataset
from tocsin.data.fingerprint import mix
from tocsin.metrics.classification import judge, measure

LEAST = 20
"""Test rows of each class below which nothing is measured."""
MOST_ROWS, MOST_TEXTS = 100_000, 20_000
"""Rows that are drawn, whole clusters at a time; fewer where there is free text."""
LEAK = 0.01
"""Points of ROC-AUC that the naive split may claim too much before it is a warning."""
DEVIATIONS = 3.0


@dataclass(frozen=True)
class _Score:
    roc_auc: float
    recall: float
    error: float
    """Standard deviation of the ROC-AUC."""


def measure_leak(sides: Sides) -> LeakMeter | None:
    """Fit one probe under each of two splits of the same rows; None with too few rows of a class.

    With an official test the naive split is one of the training file. Both fit as many rows, but for the official
    test, which leaves all training rows to the honest figure.
    """
    pool, test = _draw(sides)
    rows, held = sides.dataset.take(pool), _test_rows(sides, pool, test)
    shuffled = np.argsort(mix(np.arange(len(rows), dtype=np.uint64), sides.stated.split.seed), kind="stable")
    share = len(held) / len(rows) if sides.official is None else sides.stated.split.test or 0.3
    cut = round(share * len(rows))
    naive = _score(rows.take(np.sort(shuffled[cut:])), rows.take(np.sort(shuffled[:cut])), sides)
    mine = rows if sides.official is not None else rows.take(np.flatnonzero(~np.isin(pool, test)))
    honest = _score(mine, held, sides)
    if naive is None or honest is None:
        return None
    return LeakMeter(
        model=naive[1],
        naive=naive[0].roc_auc,
        honest=honest[0].roc_auc,
        naive_recall=naive[0].recall,
        honest_recall=honest[0].recall,
        noise=float(np.hypot(naive[0].error, honest[0].error)),
        rows=len(rows),
        official=sides.official is not None,
        sentence=_say(naive[0], honest[0], sides),
    )


def _draw(sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the dataset that are used, and those of the test, whole clusters where there are too many."""
    seen = np.concatenate([sides.fold.train, sides.fold.valid])
    pool = np.sort(np.concatenate([seen, sides.fold.test]) if sides.official is None else seen)
    order = np.argsort(mix(sides.likeness[pool].astype(np.uint64), 7), kind="stable")
    pool = np.sort(pool[order[: MOST_TEXTS if sides.texts else MOST_ROWS]])
    return pool, sides.fold.test


def _test_rows(sides: Sides, pool: np.ndarray, test: np.ndarray) -> Dataset:
    if sides.official is not None:
        return sides.official.take(test)
    return sides.dataset.take(pool[np.isin(pool, test)])


def _score(train: Dataset, test: Dataset, sides: Sides) -> tuple[_Score, str] | None:
    if not has_both(train.label, LEAST) or not has_both(test.label, LEAST):
        return None
    probe = fit_probe(train.columns, train.label, sides.texts, Growth(threads=sides.stated.threads))
    found = measure(judge(test.label, probe.predict(test.columns), 0.5))
    positives = int((test.label == 1).sum())
    error = auc_deviation(found["roc_auc"], positives, len(test) - positives)
    return _Score(found["roc_auc"], found["recall_at_fpr_0.01"], error), probe.description


def auc_deviation(auc: float, positives: int, negatives: int) -> float:
    """Return the standard deviation of a ROC-AUC of so many rows.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", formula 2.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def _say(naive: _Score, honest: _Score, sides: Sides) -> str:
    shuffled = "a random split of the training file" if sides.official is not None else "the naive split"
    figure = "the official test gives" if sides.official is not None else "the honest figure is"
    words = f"{shuffled} would have claimed {naive.roc_auc:.3f}; {figure} {honest.roc_auc:.3f}"
    recalls = f"recall at 1 % false positives {naive.recall:.3f} and {honest.recall:.3f}"
    return f"{words} (ROC-AUC; {recalls})"


def check_leak(sides: Sides) -> Iterator[Finding]:
    """Say what a naive split would have claimed, in overlap and in score."""
    naive, ours = (sides.fold.facts.get(name) for name in ("naive_overlap", "overlap"))
    words = []
    if naive is not None and ours is not None:
        words.append(f"{ours:.1%} of the test rows have a near-duplicate outside the test")
        if sides.official is None:
            words[0] += f"; a split that only shuffles would have {naive:.1%}"
    leak = sides.once(measure_leak)
    if leak is not None:
        words.append(leak.sentence)
    if not words:
        return
    leaks = leak is not None and leak.naive - leak.honest > max(LEAK, DEVIATIONS * leak.noise)
    yield Finding(
        severity="warning" if leaks else "info",
        name="leak meter",
        message=". ".join(word[0].upper() + word[1:] for word in words),
        action="never quote a number of a shuffled split of these rows" if leaks else "",
    )
