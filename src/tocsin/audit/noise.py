"""Label noise: how often the rows that a cross-validated model is surest of carry the other label.

Wrong labels and overlapping classes look alike where a model doubts. They differ where it is sure: with overlap the
disagreement falls as the model gets surer, with wrong labels it stays at their share. So an estimate is only given
where the disagreement is level; elsewhere it is said that none can be.
Source: after Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".

Shapes: N rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.audit.findings import Finding
from tocsin.audit.probe import fit_probe
from tocsin.audit.sides import EXAMPLES, Sides, has_both
from tocsin.data.fingerprint import mix
from tocsin.metrics.classification import judge, measure

FOLDS = 4
MOST_ROWS = 20_000
LEAST = 100
"""Rows of each class below which nothing is estimated."""
NOISY = 0.03
"""Share of wrong labels among the surest rows of a side from which it is a warning."""
ABLE = 0.75
"""ROC-AUC below which a model cannot tell wrong labels from hard rows."""
SUREST, NEXT = 0.1, 0.3
"""Shares of the rows of a side, the surest first: the disagreement of the first tenth, and of the fifth behind it."""
LEVEL = 1.6
"""How much the disagreement may rise from one to the other where it comes from wrong labels."""


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
    """Share of wrong labels on the worse side; None where they cannot be told from hard rows."""
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
            probe = fit_probe(known.columns, known.label, sides.texts, sides.stated.threads)
            probability[inside] = probe.predict(part.take(inside).columns)
    if np.isnan(probability).any():
        return None
    return judge_labels(part.label, probability, part.ids)


def judge_labels(label: np.ndarray, probability: np.ndarray, ids: np.ndarray) -> Noise:
    """Judge labels [N] of 0 and 1 by probabilities of 1 [N] that were fitted without them."""
    auc = measure(judge(label, probability, 0.5))["roc_auc"]
    sure, level = {}, True
    for name, wrong, order in (
        ("negative", label == 1, np.argsort(probability, kind="stable")),
        ("positive", label == 0, np.argsort(-probability, kind="stable")),
    ):
        own = order[: int(((probability < 0.5) == (name == "negative")).sum())]
        first, second = (int(np.ceil(share * len(own))) for share in (SUREST, NEXT))
        if not first or second <= first:
            continue
        sure[name] = float(wrong[own[:first]].mean())
        behind = float(wrong[own[first:second]].mean())
        level &= sure[name] < NOISY or behind <= LEVEL * sure[name]
    doubt = np.abs(label - probability)
    least_likely = [i for i in np.argsort(-doubt, kind="stable")[:EXAMPLES] if doubt[i] > 0.5]
    return Noise(
        rows=len(label),
        roc_auc=auc,
        disagreement=float((doubt > 0.5).mean()),
        sure=sure,
        estimate=max(sure.values(), default=0.0) if level and auc >= ABLE else None,
        suspects=tuple(str(ids[i]) for i in least_likely),
    )


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
        message += f": about {noise.estimate:.1%} of the labels on that side may be wrong"
    yield Finding(
        severity="warning" if noisy else "info",
        name="label noise",
        message=message,
        rows=noise.suspects,
        action="have a person look at these rows, the least likely first" if noisy else "",
    )
