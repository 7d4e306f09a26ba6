"""Logistic regression on flat features: standardised, missing filled and flagged, one-hot codes.

In a graph it is a line for each number and a table for each code. They are read off the fitted model itself, one
feature moved at a time, so that no detail of the pipeline (filling, flagging, scaling, one-hot codes, rare codes) has
to be written twice. The parity check of the export shows that the model is additive.

Shapes: N rows, F features, K codes.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Nodes, Rung

Decide = Callable[[np.ndarray], np.ndarray]
"""float64 [N, F] with NaN for missing -> logit [N]."""


@dataclass(frozen=True)
class Logistic:
    """A fitted pipeline."""

    pipeline: Any
    categorical: list[bool]
    codes: int
    """How many codes a table needs: one more than training saw, which stands for the unknown."""
    description: str

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]."""
        found = self.pipeline.predict_proba(inputs.flat[0].astype(np.float64))
        return np.asarray(found[:, 1], dtype=np.float64)


def fit(train: Examples, _valid: Examples, seed: int) -> Logistic:
    """Fit the pipeline on training rows."""
    from sklearn.exceptions import ConvergenceWarning

    matrix, _, categorical = train.flat
    flags = np.array(categorical, dtype=bool)
    pipeline = _make_pipeline(flags, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below, in the description
        pipeline.fit(matrix.astype(np.float64), train.label)
    steps = int(pipeline[-1].n_iter_[0])
    end = "" if steps < pipeline[-1].max_iter else ", not converged"
    words = f"standardised, missing filled and flagged, one-hot categories, L2 C=1, {steps} iterations{end}"
    return Logistic(pipeline, categorical, int(np.nanmax(matrix[:, flags], initial=0.0)) + 2, words)


def _make_pipeline(flags: np.ndarray, seed: int) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    codes = OneHotEncoder(handle_unknown="ignore", min_frequency=10)
    columns = ColumnTransformer(
        [("numeric", numeric, np.flatnonzero(~flags)), ("codes", codes, np.flatnonzero(flags))]
    )
    return make_pipeline(columns, LogisticRegression(C=1.0, max_iter=1000, random_state=seed))


def add_logistic(graph: Nodes, model: Logistic) -> str:
    """Add the model and return its float64 logit [N]."""
    return add_additive(graph, model.pipeline.decision_function, model.categorical, model.codes)


def add_additive(graph: Nodes, decide: Decide, categorical: Sequence[bool], codes: int) -> str:
    """Add any additive model of the flat features and return its float64 logit [N].

    codes: how many codes K any feature may have; a code beyond is answered like the last.
    """
    matrix, flags = graph.matrix, np.array(categorical, dtype=bool)
    base = np.zeros((1, len(flags)))
    bias = float(decide(base)[0])
    moved = np.repeat(base, len(flags), axis=0)
    places = np.arange(len(flags))
    moved[places, places] = 1.0
    slope = np.where(flags, 0.0, decide(moved) - bias)
    moved[places, places] = np.nan
    absent = decide(moved) - bias
    is_absent = graph.add("IsNaN", [matrix])
    present = graph.add("Where", [is_absent, graph.hold(np.zeros(1)), matrix])
    lines = graph.add("Mul", [present, graph.hold(slope)])
    worth = graph.add("Where", [is_absent, graph.hold(absent), lines])
    if flags.any():
        looked_up = _look_up(graph, present, _tables(decide, flags, codes, bias))
        worth = graph.add("Add", [worth, graph.add("Where", [is_absent, graph.hold(np.zeros(1)), looked_up])])
    summed = graph.add("ReduceSum", [worth, graph.hold(np.array([1], dtype=np.int64))], {"keepdims": 0})
    return graph.add("Add", [summed, graph.hold(np.array(bias, dtype=np.float64))])


def _tables(decide: Decide, flags: np.ndarray, codes: int, bias: float) -> np.ndarray:
    """Return what each code adds, [F, K]; zeros for numbers."""
    tables = np.zeros((len(flags), codes))
    for i in np.flatnonzero(flags):
        rows = np.zeros((codes, len(flags)))
        rows[:, i] = np.arange(codes)
        tables[i] = decide(rows) - bias
    return tables


def _look_up(graph: Nodes, present: str, tables: np.ndarray) -> str:
    """Look every value's code up in the table of its feature: [N, F] -> [N, F]."""
    features, codes = tables.shape
    lowest, highest = graph.hold(np.array(0.0)), graph.hold(np.array(codes - 1.0))
    code = graph.cast(graph.add("Clip", [present, lowest, highest]), "int64")
    place = graph.add("Add", [code, graph.hold(np.arange(features, dtype=np.int64) * codes)])
    return graph.add("Gather", [graph.hold(tables.ravel()), place])


BASELINE = Baseline(reads="flat", fit=fit, graph=add_logistic, rung=Rung.LINEAR)
