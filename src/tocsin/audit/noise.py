"""Label noise: how often the rows that a cross-validated model is surest of carry the other label.

Wrong labels and overlapping classes look alike where a model doubts. They differ where it is sure: with overlap the
disagreement falls as the model gets surer, with wrong labels it stays at their share. So an estimate is only given
where the disagreement is level; elsewhere it is said that none can be.
Source: after Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".

Shapes: N rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.probe import CAUTIOUS, fit_probe
from tocsin.audit.sides import EXAMPLES, Sides, has_both
from tocsin.data.fingerprint import mix
from tocsin.metrics.classification import judge, measure

FOLDS = 4
MOST_ROWS = 20_000
LEAST, LEAST_SURE = 100, 40
"""Rows of each class, and rows that a model is surest of, below which nothing is estimated."""
NOISY = 0.03
"""Share of wrong labels among the surest rows of a side from which it is a warning."""
ABLE = 0.75
"""ROC-AUC below which a model cannot tell wrong labels from hard rows."""
SUREST = 0.2
"""Share of the rows that are called one thing of which the model is surest."""
LEVEL = 1.6
"""How many times the disagreement of the surest rows that of all rows may be, where it comes from wrong labels."""


@dataclass(frozen=True)
class Noise:
    """What cross-validation says about the labels."""

    rows: int
    roc_auc: float
    disagreement: float
    """Share of the rows whose label is less likely than the other."""
    sure: dict[str, float]
    """Side that the model is sure of -> share of those rows that carry the other label."""
    estimate: float | None
    """Share of wrong labels where there are most; None where they cannot be told from hard rows."""
    suspects: tuple[str, ...]
    """Ids of the rows whose labels are the least likely."""


def estimate_noise(sides: Sides) -> Noise | None:
    """Cross-validate a probe on training rows, near-duplicates on one side; None with too few rows of a class."""
    part, cluster = sides.parts["train"], sides.clusters["train"]
    order = mix(cluster.astype(np.uint64), seed=1)
    kept = np.sort(np.argsort(order, kind="stable")[:MOST_ROWS])
    part, order = part.take(kept), order[kept]
    if not has_both(part.label, LEAST):
        return None
    number = (order % np.uint64(FOLDS)).astype(np.int64)
    probability = np.full(len(part), np.nan)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(number == fold), np.flatnonzero(number != fold)
        if len(inside) and has_both(part.label[outside]):
            known = part.take(outside)
            growth = replace(CAUTIOUS, threads=sides.stated.threads)
            probe = fit_probe(known.columns, known.label, sides.texts, growth)
            probability[inside] = probe.predict(part.take(inside).columns)
    if np.isnan(probability).any():
        return None
    return weigh_labels(part.label, probability, part.ids)


def weigh_labels(label: np.ndarray, probability: np.ndarray, ids: np.ndarray) -> Noise:
    """Hold labels [N] of 0 and 1 against probabilities of 1 [N] that were fitted without them."""
    auc = measure(judge(label, probability, 0.5))["roc_auc"]
    orders = {
        "negative": np.argsort(probability, kind="stable")[: int((probability < 0.5).sum())],
        "positive": np.argsort(-probability, kind="stable")[: int((probability >= 0.5).sum())],
    }
    wrong = {name: (label == 1) == (name == "negative") for name in orders}
    every = {name: wrong[name][order] for name, order in orders.items()}
    surest = {name: found[: int(SUREST * len(found))] for name, found in every.items()}
    sides = [([surest[name]], [every[name]]) for name in orders]
    sides.append((list(surest.values()), list(every.values())))
    shares = [_level(*map(np.concatenate, side)) for side in sides]
    known = [share for share in shares if share is not None]
    told = auc >= ABLE and (len(known) == len(shares) or max(known, default=0.0) >= NOISY)
    doubt = np.abs(label - probability)
    least_likely = [i for i in np.argsort(-doubt, kind="stable")[:EXAMPLES] if doubt[i] > 0.5]
    return Noise(
        rows=len(label),
        roc_auc=auc,
        disagreement=float((doubt > 0.5).mean()),
        sure={name: float(found.mean()) for name, found in surest.items() if len(found)},
        estimate=max(known) if told else None,
        suspects=tuple(str(ids[i]) for i in least_likely),
    )


def _level(surest: np.ndarray, every: np.ndarray) -> float | None:
    """Return the share of wrong labels among the surest rows where it hardly rises with doubt, or is next to none."""
    if len(surest) < LEAST_SURE:
        return None
    share = float(surest.mean())
    spread = float(np.sqrt(max(share * (1 - share), 1e-4) / len(surest)))
    if share - 2 * spread < NOISY / 2:
        return min(share, NOISY / 2)  # so few may be chance
    return share if every.mean() <= LEVEL * (share - spread) else None


def check_noise(sides: Sides) -> Iterator[Finding]:
    """Labels that a model which never saw them is sure are wrong."""
    noise = sides.once(estimate_noise)
    if noise is None:
        return
    message = (
        f"{noise.disagreement:.2%} of {noise.rows:,} labels are not the likelier one in cross-validation "
        f"(ROC-AUC {noise.roc_auc:.3f}); of the rows it is surest of, "
        + " and ".join(f"{share:.2%} of those called {name}" for name, share in noise.sure.items())
        + " carry the other label"
    )
    if noise.estimate is None:
        message += "; wrong labels cannot be told from rows that are hard"
    noisy = noise.estimate is not None and noise.estimate >= NOISY
    if noisy:
        message += f": up to {noise.estimate:.1%} of the labels may be wrong"
    yield Finding(
        severity="warning" if noisy else "info",
        name="label noise",
        message=message,
        rows=noise.suspects,
        action="have a person look at these rows, the least likely first" if noisy else "",
    )
