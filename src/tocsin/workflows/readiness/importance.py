"""What each feature is worth: its values are moved to other rows, and the answers are looked at again.

Shapes: B rows, P positives, N negatives.
Source: Breiman 2001, "Random Forests", section 10; DeLong et al. 1988, "Comparing the Areas under Two or More
Correlated Receiver Operating Characteristic Curves", in the fast form of Sun & Xu 2014.
"""

from collections import Counter
from typing import Any

import numpy as np
from pydantic import ValidationError
from scipy.stats import norm, rankdata

from tocsin.audit.readiness.facts import Facts
from tocsin.core.heads import decision_of
from tocsin.core.types import Columns, column, rows, tabulate, take, untabulate
from tocsin.data.dataset import Dataset
from tocsin.metrics.significance import LEVEL, holm
from tocsin.serve.predictor import Predictor

CELLS, FEWEST, MOST = 20_000, 200, 2_000
"""Rows times features that may be scored, and bounds of the rows."""
SHIFTS = (1, 5, 11)
"""How far values are moved among the golden samples."""
UNUSUAL = 200
"""Rows with an unusual value that are looked at before a field is called dead."""
STILL = 1e-9
"""A feature that moves no logit by more than this is dead."""
SIDE = 1.959963984540054


def measure_importance(predictor: Predictor, data: Dataset | None, seed: int) -> Facts:
    """Return for each field what ROC-AUC loses when it is shuffled, with a 95 % interval, on labelled rows.

    `dead`: fields that vary and yet move no answer, neither shuffled nor where an unusual value is replaced by
    the usual one. `harmful`: fields without which the model ranks better, at 5 % with Holm's correction. Without
    labelled rows the golden samples show only which fields move no answer of theirs.
    """
    if data is None:
        return _look_for_dead(predictor)
    picked = _draw(data, len(data.columns))
    rng = np.random.default_rng(seed)
    base = _logit(predictor, picked.columns)
    found = []
    for name, values in picked.columns.items():
        logit = _logit(predictor, put(predictor, picked.columns, name, values[rng.permutation(len(values))]))
        worth = _worth(name, picked.label, base, logit)
        shift = max(worth["largest_shift"], _unusual_shift(predictor, data.columns, name))
        found.append({**worth, "largest_shift": shift, "varies": _varies(data.columns[name])})
    adjusted = holm([f.pop("p_harmful") for f in found])
    harmful = [f["name"] for f, p in zip(found, adjusted, strict=True) if p <= LEVEL]
    dead = [f["name"] for f in found if f["varies"] and f["largest_shift"] <= STILL]
    return {"labelled": True, "rows": len(picked), "dead": dead, "harmful": harmful, "features": found}


def _logit(predictor: Predictor, columns: Columns) -> np.ndarray:
    return predictor.outputs(columns)[decision_of(predictor.heads).name]


def put(predictor: Predictor, columns: Columns, name: str, values: np.ndarray) -> Columns:
    """Return columns with other values in one field; a row that would be no sample with its value keeps its own.

    That is so where fields depend on each other, such as the nodes and edges of a graph.
    """
    changed, kind = {**columns, name: values.copy()}, predictor.schema.sample
    for row in range(len(values)):
        try:
            kind.model_validate(untabulate(changed, row))
        except ValidationError:
            changed[name][row] = columns[name][row]
    return changed


def _draw(data: Dataset, features: int) -> Dataset:
    """Draw labelled rows evenly, as many as the budget of cells allows."""
    labelled = np.flatnonzero(data.label >= 0)
    count = min(len(labelled), int(np.clip(CELLS // features, FEWEST, MOST)))
    return data.take(labelled[np.unique(np.linspace(0, len(labelled) - 1, count).astype(int))])


def _unusual_shift(predictor: Predictor, columns: Columns, name: str) -> float:
    """Return the largest |shift| of a logit when an unusual value of a field is replaced by the usual one."""
    values = columns[name]
    usual = _usual(values)
    unusual = np.flatnonzero(_differs(values, usual))
    if not len(unusual):
        return 0.0
    drawn = unusual[np.unique(np.linspace(0, len(unusual) - 1, min(UNUSUAL, len(unusual))).astype(int))]
    unlike = take(columns, drawn)
    replaced = column([usual] * len(drawn), numeric=values.dtype != object)
    base, moved = (_logit(predictor, c) for c in (unlike, put(predictor, unlike, name, replaced)))
    return float(np.abs(moved - base).max())


def _usual(values: np.ndarray) -> Any:
    if values.dtype == object:
        return Counter(values.tolist()).most_common(1)[0][0]
    distinct, counts = np.unique(values, return_counts=True)
    return distinct[counts.argmax()]


def _differs(values: np.ndarray, usual: Any) -> np.ndarray:
    """Tell which values [B] are others; NaN is equal to NaN."""
    if values.dtype == object:
        return np.array([value != usual for value in values.tolist()], dtype=bool)
    found: np.ndarray = (values != usual) & ~(np.isnan(values) & np.isnan(usual))
    return found


def _varies(values: np.ndarray) -> bool:
    return bool(_differs(values, _usual(values)).any())


def _worth(name: str, label: np.ndarray, base: np.ndarray, logit: np.ndarray) -> dict[str, Any]:
    loss, deviation = compare_auc(label, base, logit)
    spread = SIDE * deviation
    harm = float(norm.cdf(loss / deviation)) if deviation > 0 else 1.0
    shift = float(np.abs(logit - base).max())
    known = {"loss": loss, "low": loss - spread, "high": loss + spread}
    return {"name": name, **known, "largest_shift": shift, "p_harmful": harm if np.isfinite(harm) else 1.0}


def compare_auc(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return ROC-AUC of `first` minus that of `second` on the same rows, and its standard deviation.

    label: [B] of 0 and 1; first, second: [B] scores. NaN where a class has fewer than two rows.
    """
    positive = label == 1
    p, n = int(positive.sum()), int((~positive).sum())
    if min(p, n) < 2:
        return float("nan"), float("nan")
    above_P, below_N = _placements(positive, second)
    over_P, under_N = _placements(positive, first)
    variance = np.var(over_P - above_P, ddof=1) / p + np.var(under_N - below_N, ddof=1) / n
    return float(over_P.mean() - above_P.mean()), float(np.sqrt(variance))


def _placements(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each positive [P] the share of negatives below it, for each negative [N] that of positives above."""
    p, n = positive.sum(), (~positive).sum()
    ranks = rankdata(score)
    above = (ranks[positive] - rankdata(score[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(score[~positive])) / p
    return above, below


def _look_for_dead(predictor: Predictor) -> Facts:
    """Look for fields that move no golden sample's answer, hidden or with another sample's value: too few to tell."""
    columns: Columns = tabulate(predictor.golden_samples(), predictor.schema.sample)
    base = _logit(predictor, columns)
    hidden = _hidden(predictor, columns)
    found: list[dict[str, Any]] = []
    for name, values in columns.items():
        moved = [_logit(predictor, put(predictor, columns, name, np.roll(values, by))) for by in SHIFTS]
        largest = max(float(np.abs(np.stack(moved) - base).max()), hidden.get(name, 0.0))
        found.append({"name": name, "largest_shift": largest, "loss": None, "low": None, "high": None})
    still = [str(f["name"]) for f in found if f["largest_shift"] <= STILL]
    return {
        "labelled": False,
        "rows": len(base),
        "still": still,
        "dead": [],
        "harmful": [],
        "features": found,
    }


def _hidden(predictor: Predictor, columns: Columns) -> dict[str, float]:
    """Return field -> the largest |fall| of an answer when a part of it is hidden."""
    found: dict[str, float] = {}
    for i in range(rows(columns)):
        row = take(columns, np.array([i]))
        arrays = predictor.encoder.encode(row)
        for place, fall in predictor.falls(row, arrays, predictor.runtime.run(arrays)):
            found[place.where] = max(found.get(place.where, 0.0), abs(fall))
    return found
