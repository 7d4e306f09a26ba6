"""Simpler models, fitted on the same rows: what a model must beat before it is worth its cost.

Shapes: N rows, F features.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tocsin.core.errors import InputError, did_you_mean

Flat = tuple[np.ndarray, list[str], list[bool]]
"""What `Encoder.flatten` returns: float32 [N, F] with NaN for missing, names, is-categorical."""

LADDER = (("majority",), ("stump", "rules"), ("logistic", "tfidf"), ("lightgbm",))
"""Rungs, the simplest first: on each a model of flat features, and where it is another one, of texts."""

Predict = Callable[[np.ndarray], np.ndarray]

Fit = tuple[Predict, str, Any]
"""Probability of a positive, words for the report, and what was fitted."""


@dataclass(frozen=True)
class Boosted:
    """A LightGBM booster and how many of its trees count."""

    booster: Any
    trees: int


@dataclass(frozen=True)
class Baseline:
    """A fitted model: `predict` takes float32 [N, F], returns the probability of a positive, float64 [N]."""

    name: str
    predict: Predict
    description: str
    seconds: float
    model: Any = None
    """What was fitted, for the export: a LightGBM booster or a scikit-learn pipeline; None where there is none."""


@dataclass(frozen=True)
class _Rows:
    """Shapes: N rows, F features."""

    matrix: np.ndarray
    names: list[str]
    categorical: list[bool]
    label: np.ndarray


def fit_baselines(
    names: Sequence[str],
    train: tuple[Flat, np.ndarray],
    valid: tuple[Flat, np.ndarray],
    seed: int,
    threads: int = 1,
) -> dict[str, Baseline]:
    """Fit the named models on (flat features, labels [N] of 0 and 1); LightGBM looks at `valid` to stop.

    InputError on a name that is not one of MODELS, or when training holds one class only.
    """
    rows, held_out = _Rows(*train[0], train[1]), _Rows(*valid[0], valid[1])
    if len(np.unique(rows.label)) < 2:
        raise InputError(
            f"baselines need both classes in training, all {len(rows.label)} rows are {rows.label[:1]}"
        )
    found = {}
    for name in names:
        if name not in MODELS:
            raise InputError(f"evaluation.baselines: no baseline {name!r}{did_you_mean(name, list(MODELS))}")
        start = time.perf_counter()
        predict, description, model = MODELS[name](rows, held_out, seed, threads)
        found[name] = Baseline(name, predict, description, time.perf_counter() - start, model)
    return found


def _fit_majority(train: _Rows, _valid: _Rows, _seed: int, _threads: int) -> Fit:
    share = float(train.label.mean())
    words = f"always the share of positives in training, {share:.4f}"
    return lambda matrix: np.full(len(matrix), share), words, None


def _fit_stump(train: _Rows, _valid: _Rows, seed: int, _threads: int) -> Fit:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_depth=1, random_state=seed).fit(train.matrix, train.label)
    column = int(tree.tree_.feature[0])
    if column < 0:
        return partial(_positive, tree), "no single feature splits the classes", tree
    words = f"{train.names[column]} against {tree.tree_.threshold[0]:.4g} as encoded"
    return partial(_positive, tree), words, tree


def _fit_logistic(train: _Rows, _valid: _Rows, seed: int, _threads: int) -> Fit:
    from sklearn.compose import ColumnTransformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    codes = OneHotEncoder(handle_unknown="ignore", min_frequency=10)
    flags = np.array(train.categorical, dtype=bool)
    columns = ColumnTransformer(
        [("numeric", numeric, np.flatnonzero(~flags)), ("codes", codes, np.flatnonzero(flags))]
    )
    model = make_pipeline(columns, LogisticRegression(C=1.0, max_iter=1000, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below, in the description
        model.fit(train.matrix.astype(np.float64), train.label)
    steps = int(model[-1].n_iter_[0])
    end = "" if steps < model[-1].max_iter else ", not converged"
    description = (
        f"standardised, missing filled and flagged, one-hot categories, L2 C=1, {steps} iterations{end}"
    )
    return lambda matrix: _positive(model, matrix.astype(np.float64)), description, model


def _fit_lightgbm(train: _Rows, valid: _Rows, seed: int, threads: int) -> Fit:
    import lightgbm

    settings = _lightgbm_settings(seed, threads)
    codes = np.flatnonzero(train.categorical).tolist()
    data = lightgbm.Dataset(train.matrix, train.label, categorical_feature=codes, free_raw_data=False)
    stops = len(np.unique(valid.label)) == 2
    booster = lightgbm.train(
        settings,
        data,
        num_boost_round=1000 if stops else 200,
        valid_sets=[data.create_valid(valid.matrix, valid.label)] if stops else None,
        callbacks=[lightgbm.early_stopping(50, verbose=False)] if stops else None,
    )
    trees = booster.best_iteration if stops else booster.num_trees()

    def predict(matrix: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(matrix, num_iteration=trees, num_threads=threads), dtype=np.float64)

    how = "stopped on validation loss" if stops else "validation holds one class only: no early stopping"
    words = f"{trees} trees of 31 leaves, learning rate 0.05, categorical codes, {how}"
    return predict, words, Boosted(booster, trees)


def _lightgbm_settings(seed: int, threads: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.9,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
        "verbosity": -1,
    }


def _positive(model: Any, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict_proba(matrix)[:, 1], dtype=np.float64)


MODELS: Mapping[str, Callable[[_Rows, _Rows, int, int], Fit]] = {
    "majority": _fit_majority,
    "stump": _fit_stump,
    "logistic": _fit_logistic,
    "lightgbm": _fit_lightgbm,
}
