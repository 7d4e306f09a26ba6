"""A sealed model as a classifier of scikit-learn. This module alone of the face imports scikit-learn."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_array

from tocsin.core.errors import InputError
from tocsin.core.types import Verdict
from tocsin.face.rows import is_frame

if TYPE_CHECKING:
    from tocsin.face.model import Model

SMALLEST = float(np.finfo(np.float64).tiny)
EDGE = 2.0**-53
"""Probabilities are kept so far from 0 and 1 that their log-odds are finite."""


class UnreadableRows(InputError, ValueError):
    """Rows that the model does not read. It is an InputError, and a ValueError because scikit-learn expects one."""


class SealedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model that was trained, proved and sealed by tocsin, as a binary classifier that is fitted already.

    `fit` changes nothing and looks at nothing, as in `sklearn.frozen.FrozenEstimator`. So every fold of a
    cross-validation is the same model, and its scores say nothing about training. The rows X are a frame, a list of
    dicts, or an array. The columns of an array are `feature_names_in_` in their order, and NaN is missing.

    `classes` is how the truth is written, (negative, positive), such as (0, 1). None takes the model's own names.
    `classes_` is sorted, as everywhere in scikit-learn, so the positive name may be the first.

    >>> import tocsin
    >>> model = tocsin.open("runs/tiny/seed_1/artifact")
    >>> classifier = model.estimator(classes=(0, 1))
    >>> classifier.predict_proba(model.examples[:3]).shape
    (3, 2)
    """

    def __init__(self, model: "Model", classes: tuple[Any, Any] | None = None) -> None:
        self.model = model
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        """The two classes, sorted. They are the columns of `predict_proba`.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").estimator().classes_.tolist()
        ['attack', 'normal']
        """
        found: np.ndarray = np.unique(np.asarray(self._names))
        if len(self._names) != 2 or len(found) != 2:
            raise InputError(f"classes are two names that differ, (negative, positive), not {self.classes!r}")
        return found

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The fields of a row, [F] object.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").estimator().feature_names_in_[-1]
        'service'
        """
        return np.array(self.model.fields, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """How many fields a row has.

        >>> import tocsin
        >>> tocsin.open("runs/tiny/seed_1/artifact").estimator().n_features_in_
        12
        """
        return len(self.model.fields)

    def fit(self, X: object = None, y: object = None) -> Self:  # noqa: ARG002 - as scikit-learn calls it
        """Do nothing: the model was fitted and proved before it was sealed.

        >>> import tocsin
        >>> classifier = tocsin.open("runs/tiny/seed_1/artifact").estimator()
        >>> classifier.fit(None, None) is classifier
        True
        """
        return self

    def predict(self, X: object) -> np.ndarray:
        """Return the class of each row at the sealed threshold, [N].

        >>> import tocsin
        >>> model = tocsin.open("runs/tiny/seed_1/artifact")
        >>> set(model.estimator().predict(model.examples).tolist()) <= set(model.classes)
        True
        """
        found: np.ndarray = self.classes_[self._columns(self._positive(self._verdicts(X)))]
        return found

    def predict_proba(self, X: object) -> np.ndarray:
        """Return calibrated probabilities [N, 2], a column for each of `classes_`.

        >>> import tocsin
        >>> model = tocsin.open("runs/tiny/seed_1/artifact")
        >>> model.estimator().predict_proba(model.examples).sum(axis=1).round(9).min()
        np.float64(1.0)
        """
        probability = np.array([verdict.probability for verdict in self._verdicts(X)], dtype=np.float64)
        table: np.ndarray = np.stack([1.0 - probability, probability], axis=1)
        return table[:, ::-1] if self._is_reversed else table

    def decision_function(self, X: object) -> np.ndarray:
        """Return how far the log-odds of `classes_[1]` lie above those of the threshold, [N].

        >>> import tocsin
        >>> model = tocsin.open("runs/tiny/seed_1/artifact")
        >>> classifier = model.estimator(classes=(0, 1))
        >>> bool(((classifier.decision_function(model.examples) > 0) == classifier.predict(model.examples)).all())
        True
        """
        verdicts = self._verdicts(X)
        scores = np.array([(v.probability, v.threshold) for v in verdicts], dtype=np.float64).reshape(-1, 2)
        odds = np.log(np.clip(scores, EDGE, None)) - np.log(np.clip(1.0 - scores, EDGE, None))
        above: np.ndarray = odds[:, 0] - odds[:, 1]
        is_positive = self._positive(
            verdicts
        )  # at the threshold itself a verdict is positive, and 0 would not be
        above = np.where(is_positive, np.maximum(above, SMALLEST), np.minimum(above, -SMALLEST))
        found: np.ndarray = -above if self._is_reversed else above
        return found

    @property
    def _names(self) -> tuple[Any, ...]:
        return self.model.classes if self.classes is None else tuple(self.classes)

    @property
    def _is_reversed(self) -> bool:
        return bool(self.classes_[0] == self._names[1])

    def _columns(self, is_positive: np.ndarray) -> np.ndarray:
        found: np.ndarray = (is_positive != self._is_reversed).astype(np.intp)
        return found

    def _positive(self, verdicts: list[Verdict]) -> np.ndarray:
        label = self.model.calibration.positive
        return np.array([verdict.label == label for verdict in verdicts], dtype=bool)

    def _verdicts(self, X: Any) -> list[Verdict]:
        try:
            return self.model.predict(X if is_frame(X) or _are_dicts(X) else self._rows(X))
        except InputError as error:
            raise UnreadableRows(str(error)) from None

    def _rows(self, X: object) -> list[dict[str, Any]]:
        """Turn an array [N, F], columns in the order of the fields, into dicts."""
        given = (
            np.array(X, dtype=object) if isinstance(X, list | tuple) else X
        )  # numbers beside text stay numbers
        table = check_array(given, dtype=None, ensure_all_finite="allow-nan", estimator=self)
        if table.shape[1] != self.n_features_in_:
            raise UnreadableRows(
                f"X has {table.shape[1]} features, but SealedClassifier is expecting {self.n_features_in_} features"
                f" as input: {', '.join(self.model.fields)}"
            )
        values = [[None if value != value else value for value in row] for row in table.tolist()]
        return [dict(zip(self.model.fields, row, strict=True)) for row in values]

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.dict = True
        tags.classifier_tags.multi_class = False
        return tags


def _are_dicts(rows: object) -> bool:
    return isinstance(rows, list | tuple) and bool(rows) and isinstance(rows[0], dict)
