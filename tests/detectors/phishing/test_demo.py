"""The made messages: the same seed, the same bytes; no word, link, number or length gives the label away."""

from collections import Counter

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import roc_auc_score

from baselines.made import labelled, texts_only
from tocsin.core.baseline import fit_baseline
from tocsin.core.plugins import load_baseline
from tocsin.data.sources import read
from tocsin.detectors.phishing import DETECTOR
from tocsin.detectors.phishing.demo import make
from tocsin.detectors.phishing.features.shape import measure_shape

MOST = 0.8
"""ROC-AUC that no shortcut may exceed."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = make(tmp_path_factory.mktemp("demo"), seed=1, rows=4000)
    return read([path], DETECTOR.schemas["message"])


@pytest.fixture(scope="module")
def texts(dataset):
    return dataset.columns["text"].tolist()


def test_it_says_that_it_is_made_and_has_six_languages(dataset):
    assert len(dataset) == 4000
    assert set(dataset.facets["origin"]) == {"made"}
    assert set(dataset.facets["language"]) == {"en", "sw", "zh", "ru", "es", "de"}
    assert 0.3 < dataset.label.mean() < 0.5
    assert Counter(dataset.category.tolist()).keys() == {"", "credentials", "fee"}


def test_no_single_token_or_link_gives_it_away(dataset, texts):
    count = CountVectorizer(binary=True, min_df=20, token_pattern=r"(?u)[^\s]+")
    found = count.fit_transform(texts).toarray()
    areas = [roc_auc_score(dataset.label, column) for column in found.T]
    assert max(max(a, 1 - a) for a in areas) < 0.6


def test_neither_length_nor_shape_nor_metadata_does(dataset, texts):
    half = len(texts) // 2
    shape = np.array([measure_shape(text) for text in texts])
    names = ("language", "channel", "source")
    metadata = np.stack([np.unique(dataset.facets[n], return_inverse=True)[1] for n in names], axis=1)
    for features in (shape, metadata, shape[:, :1]):
        trees = LGBMClassifier(n_estimators=50, verbose=-1, n_jobs=1).fit(
            features[:half], dataset.label[:half]
        )
        assert roc_auc_score(dataset.label[half:], trees.predict_proba(features[half:])[:, 1]) < 0.6


@pytest.mark.parametrize("name", ["tfidf", "tfidf-svm"])
def test_what_only_reads_words_does_not_solve_it(name, dataset, texts):
    half = len(texts) // 2
    train = labelled(texts_only(texts[:half]), dataset.label[:half])
    model = fit_baseline(name, load_baseline("phishing", name), train, train, 0).model
    assert roc_auc_score(dataset.label[half:], model.predict(texts_only(texts[half:]))) < MOST
