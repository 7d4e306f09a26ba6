"""Baselines for text."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from baselines.made import labelled, texts_only
from tocsin.baselines.tfidf import fit_vectors
from tocsin.core.baseline import Fitted, Inputs, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_baseline

TEXTS = ["please verify your password at https://x.test", "dinner at eight with anna"] * 30
LABEL = np.array([1, 0] * 30)
READERS = ("tfidf", "tfidf-svm")


def fitted(name: str, texts: list[str] = TEXTS, label: np.ndarray = LABEL) -> Fitted:
    rows = labelled(texts_only(texts), label)
    return fit_baseline(name, load_baseline("phishing", name), rows, rows, 0)


@pytest.mark.parametrize("name", READERS)
def test_they_rank_the_obvious(name: str) -> None:
    model = fitted(name).model
    probability = model.predict(texts_only(["urgent: verify your password", "see you at dinner"]))
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability[0] > probability[1]
    assert roc_auc_score(LABEL, model.predict(texts_only(TEXTS))) == 1
    assert model.description


@pytest.mark.parametrize("name", READERS)
def test_one_class_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="both classes"):
        fitted(name, TEXTS[:2], np.array([1, 1]))


@pytest.mark.parametrize("name", READERS)
def test_rows_that_are_no_texts_are_refused(name: str) -> None:
    encoder: Any = object()
    rows = labelled(Inputs(encoder, {"a": np.zeros(2)}), np.array([0, 1]))
    with pytest.raises(InputError, match=f"{name} reads texts, and these samples are none"):
        fit_baseline(name, load_baseline("phishing", name), rows, rows, 0)


def test_both_share_one_fit_and_one_look_at_other_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors cost more than the models: the second model must not pay for them again."""
    from sklearn.pipeline import FeatureUnion

    calls: list[str] = []
    for method in ("fit_transform", "transform"):
        real = getattr(FeatureUnion, method)

        def counted(self: Any, *args: Any, real: Any = real, method: str = method) -> Any:
            calls.append(method)
            return real(self, *args)

        monkeypatch.setattr(FeatureUnion, method, counted)
    train, test = labelled(texts_only(TEXTS), LABEL), texts_only(["verify", "dinner"])
    models = [fit_baseline(n, load_baseline("phishing", n), train, train, 0).model for n in READERS]
    alone = [model.predict(test) for model in models]
    assert calls == ["fit_transform", "transform"]
    assert not np.array_equal(*alone)
    models[0].predict(texts_only(["verify", "dinner"]))
    assert calls == ["fit_transform", "transform", "transform"], "other rows are looked at again"
    assert train.once(fit_vectors) is models[0].vectors is models[1].vectors
