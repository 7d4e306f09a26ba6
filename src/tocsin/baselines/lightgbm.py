"""Boosted trees on flat features: LightGBM, and its own dump as one ONNX node that gives the same answers.

Splits and leaves stay float64, as LightGBM keeps them.
Source: onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html, version 5; LightGBM 4 `include/LightGBM/tree.h`,
NumericalDecision and CategoricalDecision.

Shapes: N rows, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tocsin.core.baseline import Baseline, Examples, Inputs, Nodes, Rung
from tocsin.core.errors import InputError

MOST_TREES, TREES_UNSTOPPED, PATIENCE = 1000, 200, 50
THREADS = 1

Split = Mapping[str, Any]
DOMAIN = "ai.onnx.ml"
AT_MOST, MEMBER = 0, 6
"""Modes of a node: the feature is at most a number, or it is one of several."""
SUM, NONE = 1, 0


@dataclass(frozen=True)
class Boosted:
    """A LightGBM booster, and how many of its trees count."""

    booster: Any
    trees: int
    description: str

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of a positive, float64 [N]."""
        found = self.booster.predict(inputs.flat[0], num_iteration=self.trees, num_threads=THREADS)
        return np.asarray(found, dtype=np.float64)


def fit(train: Examples, valid: Examples, seed: int) -> Boosted:
    """Fit on training rows; validation rows that hold both classes choose how many trees count."""
    import lightgbm

    (matrix, _, categorical), held_out = train.flat, valid.flat[0]
    codes = np.flatnonzero(categorical).tolist()
    data = lightgbm.Dataset(matrix, train.label, categorical_feature=codes, free_raw_data=False)
    stops = len(np.unique(valid.label)) == 2
    booster = lightgbm.train(
        _settings(seed),
        data,
        num_boost_round=MOST_TREES if stops else TREES_UNSTOPPED,
        valid_sets=[data.create_valid(held_out, valid.label)] if stops else None,
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)] if stops else None,
    )
    trees = booster.best_iteration if stops else booster.num_trees()
    how = "stopped on validation loss" if stops else "validation holds one class only: no early stopping"
    return Boosted(
        booster, trees, f"{trees} trees of 31 leaves, learning rate 0.05, categorical codes, {how}"
    )


def _settings(seed: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.9,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": THREADS,
        "seed": seed,
        "verbosity": -1,
    }


@dataclass
class _Ensemble:
    """The attributes of a TreeEnsemble in the making: one entry a node, one a leaf."""

    features: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    below: list[tuple[int, int]] = field(default_factory=list)
    """Where a row goes if the condition holds: (node or leaf, is it a leaf)."""
    beyond: list[tuple[int, int]] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add_tree(self, tree: Split) -> None:
        """Add a tree of at least one split."""
        self.roots.append(self.add(tree)[0])

    def add(self, tree: Split) -> tuple[int, int]:
        """Add a split and what is below it, or a leaf; return (its number, is it a leaf)."""
        if "split_index" not in tree:
            self.leaves.append(tree["leaf_value"])
            return len(self.leaves) - 1, 1
        place = len(self.features)
        self._add_split(tree)
        self.below[place] = self.add(tree["left_child"])
        self.beyond[place] = self.add(tree["right_child"])
        return place, 0

    def _add_split(self, tree: Split) -> None:
        self.features.append(tree["split_feature"])
        self.below.append((0, 0))
        self.beyond.append((0, 0))
        if tree["decision_type"] == "==":
            self.modes.append(MEMBER)
            self.splits.append(0.0)
            self.missing.append(0)  # what is missing is in no set
            self.members += [*map(float, tree["threshold"].split("||")), np.nan]
        else:
            self.modes.append(AT_MOST)
            self.splits.append(tree["threshold"])
            self.missing.append(int(_goes_left(tree)))


def _goes_left(tree: Split) -> bool:
    """Tell where a missing number goes; where training saw none, LightGBM takes it for 0."""
    if tree["missing_type"] == "Zero":
        raise InputError("a LightGBM model that takes 0 for missing (zero_as_missing) cannot be exported")
    return bool(tree["default_left"]) if tree["missing_type"] == "NaN" else tree["threshold"] >= 0


def add_boosted(graph: Nodes, model: Boosted) -> str:
    """Add the model and return its float64 logit [N]."""
    return add_trees(graph, model.booster.dump_model(num_iteration=model.trees))


def add_trees(graph: Nodes, dump: Mapping[str, Any]) -> str:
    """Add the raw score of `Booster.dump_model()` over the flat features and return the float64 logit [N].

    InputError where the model is not a binary classifier.
    """
    if not str(dump["objective"]).startswith("binary") or dump.get("average_output"):
        raise InputError(f"only a boosted binary LightGBM model can be exported, not {dump['objective']}")
    matrix, scale = graph.matrix, _sigmoid(str(dump["objective"]))
    trees = [found["tree_structure"] for found in dump["tree_info"]]
    constant = sum(tree["leaf_value"] for tree in trees if "split_index" not in tree)
    ensemble = _Ensemble()
    for tree in trees:
        if "split_index" in tree:
            ensemble.add_tree(tree)
    if not ensemble.roots:
        return _constant(graph, matrix, constant * scale)
    summed = graph.add("TreeEnsemble", [matrix], _attributes(ensemble), DOMAIN)
    flat = graph.add("Squeeze", [summed, graph.hold(np.array([1], dtype=np.int64))])
    moved = graph.add("Add", [flat, graph.hold(np.array(constant, dtype=np.float64))])
    return graph.add("Mul", [moved, graph.hold(np.array(scale, dtype=np.float64))])


def _sigmoid(objective: str) -> float:
    """Return the factor that LightGBM's own sigmoid applies to the raw score: `binary sigmoid:1`."""
    found = [part.removeprefix("sigmoid:") for part in objective.split() if part.startswith("sigmoid:")]
    return float(found[0]) if found else 1.0


def _constant(graph: Nodes, matrix: str, value: float) -> str:
    """Return the same logit for every row, where no tree splits."""
    first = graph.add("Gather", [matrix, graph.hold(np.array(0, dtype=np.int64))], {"axis": 1})
    nothing = graph.add("ConstantOfShape", [graph.add("Shape", [first])], {"value": np.zeros(1)})
    return graph.add("Add", [nothing, graph.hold(np.array(value, dtype=np.float64))])


def _attributes(ensemble: _Ensemble) -> dict[str, Any]:
    found = {
        "nodes_featureids": ensemble.features,
        "nodes_missing_value_tracks_true": ensemble.missing,
        "nodes_truenodeids": [place for place, _ in ensemble.below],
        "nodes_trueleafs": [is_leaf for _, is_leaf in ensemble.below],
        "nodes_falsenodeids": [place for place, _ in ensemble.beyond],
        "nodes_falseleafs": [is_leaf for _, is_leaf in ensemble.beyond],
        "nodes_modes": np.array(ensemble.modes, dtype=np.uint8),
        "nodes_splits": np.array(ensemble.splits, dtype=np.float64),
        "leaf_targetids": [0] * len(ensemble.leaves),
        "leaf_weights": np.array(ensemble.leaves, dtype=np.float64),
        "tree_roots": ensemble.roots,
        "n_targets": 1,
        "aggregate_function": SUM,
        "post_transform": NONE,
    }
    members = np.array(ensemble.members, dtype=np.float64)
    return found | ({"membership_values": members} if ensemble.members else {})


BASELINE = Baseline(reads="flat", fit=fit, graph=add_boosted, rung=Rung.TREES, averaged=True)
