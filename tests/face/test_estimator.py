"""A sealed model in scikit-learn: its own checks where they apply, and the places where estimators are used."""

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

import tocsin
from tocsin.face.estimator import SealedClassifier
from tocsin.face.model import Model

LEARNS = (
    "fit changes nothing and looks at nothing: what it learns from data, or refuses to, cannot be checked"
)
FITTED = "it is fitted before fit is called, and the number of fields is the model's"
WIDTH = "the model has fields of its own: the check makes arrays of another width"
NOT_FOR_FITTED = {
    "check_classifier_not_supporting_multiclass": LEARNS,
    "check_classifiers_classes": LEARNS,
    "check_classifiers_one_label": LEARNS,  # the stand-in below may pass it, by the luck of its rows
    "check_classifiers_regression_target": LEARNS,
    "check_classifiers_train": LEARNS,
    "check_complex_data": LEARNS,
    "check_dtype_object": LEARNS,
    "check_estimator_sparse_tag": LEARNS,
    "check_estimators_empty_data_messages": LEARNS,
    "check_fit1d": LEARNS,
    "check_n_features_in": FITTED,
    "check_n_features_in_after_fitting": FITTED,
    "check_supervised_y_2d": LEARNS,
    "check_supervised_y_no_nan": LEARNS,
}
"""Checks of scikit-learn that cannot hold for an estimator that is sealed -> why."""
NOT_FOR_ITS_FIELDS = dict.fromkeys(
    [
        "check_classifier_data_not_an_array",
        "check_decision_proba_consistency",
        "check_dict_unchanged",
        "check_estimators_dtypes",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_pipeline_consistency",
    ],
    WIDTH,
)
"""Checks that make arrays of a width of their own; `AnyWidth` passes them."""


class AnyWidth(SealedClassifier):
    """The same classifier, but a row may have any width: its numbers fill the fields over and over."""

    def _verdicts(self, X: Any) -> list[tocsin.Verdict]:
        table = np.abs(check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", estimator=self))
        numbers = [name for name in self.model.fields if name != "service"]
        wide = table[:, np.arange(len(numbers)) % table.shape[1]]
        rows = [[None if value != value else value for value in row] for row in wide.tolist()]
        return self.model.predict([dict(zip(numbers, row, strict=True), service=None) for row in rows])


def statuses(estimator: SealedClassifier) -> dict[str, set[str]]:
    """Status -> the names of checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some are skipped
        found = check_estimator(estimator, on_fail=None, on_skip=None)
    names: dict[str, set[str]] = {}
    for result in found:
        names.setdefault(result["status"], set()).add(result["check_name"])
    return names


def test_the_checks_of_scikit_learn_that_apply_pass(model: Model) -> None:
    found = statuses(model.estimator(classes=(0, 1)))
    assert found["failed"] == {*NOT_FOR_FITTED, *NOT_FOR_ITS_FIELDS}, (
        "a check that passes is not to be listed"
    )
    assert len(found["passed"]) >= 24
    assert found.get("skipped", set()) <= {"check_array_api_input"}


def test_the_checks_of_predicting_pass_where_any_width_is_taken(model: Model) -> None:
    found = statuses(AnyWidth(model, (0, 1)))
    assert found["failed"] <= set(NOT_FOR_FITTED)
    assert found["passed"] >= set(NOT_FOR_ITS_FIELDS)


def test_a_fault_is_found_by_a_check(model: Model) -> None:
    class Forgetful(AnyWidth):
        def predict(self, X: Any) -> np.ndarray:
            self.last_ = X
            return super().predict(X)

    assert "check_dict_unchanged" in statuses(Forgetful(model, (0, 1)))["failed"]


@pytest.fixture(scope="module")
def rows(page: Any, model: Model) -> pl.DataFrame:
    numbers = dict.fromkeys([name for name in model.fields if name != "service"], pl.Float64)
    path = page.folder / "data" / "made-flows.csv"
    found = pl.read_csv(path, schema_overrides=numbers, ignore_errors=True, n_rows=600)
    return found.filter(pl.col("label").is_not_null())


@pytest.fixture(scope="module", name="X")
def select(rows: pl.DataFrame, model: Model) -> pl.DataFrame:
    return rows.select(model.fields)


@pytest.fixture(scope="module")
def y(rows: pl.DataFrame) -> np.ndarray:
    return rows["label"].to_numpy()


@pytest.fixture
def classifier(model: Model) -> SealedClassifier:
    return model.estimator(classes=(0, 1))


def test_it_answers_as_the_model_does(classifier: SealedClassifier, model: Model, X: pl.DataFrame) -> None:
    verdicts = model.predict(X)
    positive = np.array([verdict.label == "attack" for verdict in verdicts])
    assert 0 < positive.mean() < 1
    probability = classifier.predict_proba(X)
    assert probability[:, 1].tolist() == [verdict.probability for verdict in verdicts]
    assert np.allclose(probability.sum(axis=1), 1)
    assert classifier.predict(X).tolist() == positive.astype(int).tolist()
    decision = classifier.decision_function(X)
    assert ((decision > 0) == positive).all()
    order = np.argsort(probability[:, 1], kind="stable")
    assert (np.diff(decision[order]) >= 0).all()


def test_names_are_sorted_and_columns_follow_them(
    model: Model, classifier: SealedClassifier, X: pl.DataFrame
) -> None:
    named = model.estimator()
    assert named.classes_.tolist() == ["attack", "normal"]
    assert (named.predict_proba(X)[:, 0] == classifier.predict_proba(X)[:, 1]).all()
    assert (named.decision_function(X) == -classifier.decision_function(X)).all()
    assert ((named.predict(X) == "attack") == (classifier.predict(X) == 1)).all()
    assert (named.classes_[(named.decision_function(X) > 0).astype(int)] == named.predict(X)).all()


def test_a_row_at_its_threshold_is_positive(model: Model) -> None:
    from tocsin.core.types import Verdict

    class AtThreshold:
        fields, classes, calibration = model.fields, model.classes, model.calibration

        def predict(self, rows: Any) -> list[Verdict]:
            return [
                Verdict(label=label, probability=p, threshold=t, artifact="")
                for label, p, t in [
                    ("attack", 0.3, 0.3),
                    ("normal", 0.0, 1.0),
                    ("attack", 1.0, 1.0),
                    ("normal", 0.1, 0.3),
                ]
            ]

    for classes, sign in (((0, 1), 1), (None, -1)):
        decision = SealedClassifier(AtThreshold(), classes).decision_function([{}] * 4)  # type: ignore[arg-type]
        assert np.isfinite(decision).all()
        assert (sign * decision > 0).tolist() == [True, False, True, False]


def test_every_form_of_rows_gets_the_same_scores(classifier: SealedClassifier, X: pl.DataFrame) -> None:
    wanted = classifier.predict_proba(X)
    frame = X.to_pandas()
    assert frame.isna().to_numpy().any(), "some values are missing"
    for form in (frame, X.to_dicts(), frame.to_numpy(dtype=object), frame.to_numpy(dtype=object).tolist()):
        assert (classifier.predict_proba(form) == wanted).all()


def test_wrong_rows_are_a_value_error_and_an_input_error(
    classifier: SealedClassifier, X: pl.DataFrame
) -> None:
    table = X.to_pandas().to_numpy(dtype=object)
    for form, complaint in [
        (
            table[:, :5],
            "X has 5 features, but SealedClassifier is expecting 12 features as input: duration_seconds",
        ),
        (X.drop("service"), "the frame lacks the column 'service'"),
        ([{"service": 3}], "row 0: "),
    ]:
        for error in (ValueError, tocsin.InputError):
            with pytest.raises(error, match=complaint):
                classifier.predict(form)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        classifier.predict(sparse.csr_array(np.zeros((3, 12))))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        classifier.predict(np.zeros(12))
    wrong = table.copy()
    wrong[2, 0] = "many"
    with pytest.raises(
        ValueError, match=r"^row 2: duration_seconds: Input should be a valid number, not 'many'"
    ):
        classifier.predict(wrong)


@pytest.mark.parametrize("classes", [(1, 1), (0, 1, 2), ("a",)])
def test_classes_are_two(classes: Any, model: Model) -> None:
    with pytest.raises(tocsin.InputError, match="classes are two names that differ"):
        _ = SealedClassifier(model, classes).classes_


def test_it_is_fitted_and_stays_as_it_is(
    classifier: SealedClassifier, X: pl.DataFrame, y: np.ndarray
) -> None:
    check_is_fitted(classifier)
    assert is_classifier(classifier)
    before = classifier.predict_proba(X)
    assert classifier.fit(X, 1 - y) is classifier
    assert (classifier.predict_proba(X) == before).all()
    for again in (clone(classifier), pickle.loads(pickle.dumps(classifier))):
        assert again.classes == (0, 1)
        assert (again.predict_proba(X) == before).all()
    assert classifier.feature_names_in_.tolist() == classifier.model.fields
    assert classifier.n_features_in_ == 12
    assert "SealedClassifier" in repr(classifier)


def test_it_works_where_estimators_do(classifier: SealedClassifier, X: pl.DataFrame, y: np.ndarray) -> None:
    area = roc_auc_score(y, classifier.predict_proba(X)[:, 1])
    assert area > 0.6
    assert get_scorer("roc_auc")(classifier, X, y) == pytest.approx(area)
    assert get_scorer("roc_auc")(classifier, X, 1 - y) == pytest.approx(1 - area), (
        "the truth is what it is held to"
    )
    named = classifier.model.estimator()
    assert get_scorer("roc_auc")(named, X, np.array(["normal", "attack"])[y]) == pytest.approx(area)
    assert classifier.score(X, y) == pytest.approx((classifier.predict(X) == y).mean())
    display = CalibrationDisplay.from_estimator(classifier, X, y, n_bins=5)
    assert display.estimator_name == "SealedClassifier"
    pipeline = make_pipeline(FunctionTransformer(lambda frame: frame.select(X.columns)), classifier)
    assert (pipeline.fit(X, y).predict(X.with_columns(extra=1)) == classifier.predict(X)).all()
    assert pipeline.classes_.tolist() == [0, 1]
    half = FixedThresholdClassifier(
        FrozenEstimator(classifier), threshold=0.5, response_method="predict_proba"
    )
    assert (half.fit(X, y).predict(X) == (classifier.predict_proba(X)[:, 1] >= 0.5)).all()


def test_it_can_be_calibrated_again_and_crossed(
    classifier: SealedClassifier, X: pl.DataFrame, y: np.ndarray
) -> None:
    frame = X.to_pandas()
    again = CalibratedClassifierCV(FrozenEstimator(classifier), method="sigmoid").fit(frame, y)
    assert roc_auc_score(y, again.predict_proba(frame)[:, 1]) == pytest.approx(
        roc_auc_score(y, classifier.predict_proba(frame)[:, 1]), abs=0.02
    )
    crossed = cross_val_predict(classifier, frame, y, cv=3, method="predict_proba")
    assert (crossed == classifier.predict_proba(frame)).all(), "every fold is the same model"
    importance = permutation_importance(classifier, frame.head(100), y[:100], n_repeats=2, random_state=0)
    assert importance.importances_mean.shape == (12,)


def test_a_frame_with_its_columns_in_another_order_is_read_by_name(
    classifier: SealedClassifier, X: pl.DataFrame
) -> None:
    mixed: pd.DataFrame = X.to_pandas()[list(reversed(X.columns))]
    assert (classifier.predict_proba(mixed) == classifier.predict_proba(X)).all()
