"""Baselines for text."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tocsin.audit.readers import READERS, fit_reader
from tocsin.core.errors import InputError

TEXTS = ["please verify your password at https://x.test", "dinner at eight with anna"] * 30
LABEL = np.array([1, 0] * 30)


@pytest.mark.parametrize("name", READERS)
def test_they_rank_the_obvious(name: str) -> None:
    model = fit_reader(name, TEXTS, LABEL, seed=0)
    probability = model.predict(["urgent: verify your password", "see you at dinner"])
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability[0] > probability[1]
    assert roc_auc_score(LABEL, model.predict(TEXTS)) == 1
    assert model.description


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="both classes"):
        fit_reader("tfidf", TEXTS[:2], np.array([1, 1]), 0)
