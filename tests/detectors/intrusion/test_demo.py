"""The made flows: the same seed, the same bytes; not solved by one feature, nor by a line; not hopeless."""

from collections import Counter

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from tocsin.core.types import take
from tocsin.data.sources import read
from tocsin.detectors.intrusion import DETECTOR
from tocsin.detectors.intrusion.demo import KINDS, LATE, LATE_SERVICES, MALFORMED, make

FLOW = DETECTOR.schemas["flow"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make(tmp_path_factory.mktemp("demo"), seed=1)


@pytest.fixture(scope="module")
def dataset(path):
    return read([path], FLOW)


@pytest.fixture(scope="module")
def halves(dataset):
    """Fitted on the first half: (features, labels) of the first and of the second half."""
    n = len(dataset)
    parts = [np.arange(n // 2), np.arange(n // 2, n)]
    encoder = DETECTOR.encoder(DETECTOR.config(), FLOW).fit(take(dataset.columns, parts[0]))
    return [(encoder.flatten(encoder.encode(take(dataset.columns, p)))[0], dataset.label[p]) for p in parts]


def test_the_same_seed_makes_the_same_bytes(path, tmp_path):
    again = make(tmp_path, seed=1)
    assert again.name == path.name
    assert again.read_bytes() == path.read_bytes()
    assert make(tmp_path, seed=2).read_bytes() != path.read_bytes()


def test_a_few_rows_are_bad_and_refused(dataset):
    assert len(dataset.refused) == int(MALFORMED * 20_001)
    assert len(dataset) + len(dataset.refused) == 20_000
    kinds = ("fields where the header has", "label is missing", "forward_packets")
    assert [sum(kind in row.reason for row in dataset.refused) > 5 for kind in kinds] == [True] * 3
    assert len(dataset.refused) == sum(any(kind in row.reason for kind in kinds) for row in dataset.refused)


def test_the_file_says_that_it_is_made(path):
    lines = path.read_text().splitlines()
    assert "made" in path.name
    assert lines[0].startswith(",".join(FLOW.sample.model_fields))
    assert sum(",made," in line for line in lines) > 19_900


def test_it_has_what_real_files_have(dataset):
    assert Counter(dataset.category.tolist()).keys() == {"", *KINDS}
    assert 0.2 < dataset.label.mean() < 0.4
    missing = [np.isnan(v).mean() for v in dataset.columns.values() if v.dtype == float]
    assert min(missing) > 0.01
    late = np.isin(dataset.columns["service"].astype(str), LATE_SERVICES)
    assert late.any()
    assert not late[: int(0.99 * LATE * len(late))].any()
    packets, size = dataset.columns["forward_bytes"], dataset.columns["backward_bytes"]
    twins = (packets[1:] == packets[:-1]) & (size[1:] == size[:-1]) & (packets[1:] > 1000)
    assert twins.sum() > 50


def test_no_single_feature_solves_it(halves):
    (x, y), _ = halves
    for values in x.T[:-1]:
        area = roc_auc_score(y, np.nan_to_num(values, nan=-9))
        assert max(area, 1 - area) < 0.75
    service = np.nan_to_num(x[:, -1])
    rate = {code: y[service == code].mean() for code in np.unique(service)}
    assert roc_auc_score(y, [rate[code] for code in service]) < 0.75


def test_interactions_solve_it_and_a_line_does_not(halves):
    (x, y), (new_x, new_y) = halves
    trees = LGBMClassifier(n_estimators=100, verbose=-1, n_jobs=1).fit(x, y)
    assert roc_auc_score(new_y, trees.predict_proba(new_x)[:, 1]) > 0.97
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(np.nan_to_num(x[:, -1:]))
    flat, new_flat = (
        np.concatenate([np.nan_to_num(v[:, :-1]), codes.transform(np.nan_to_num(v[:, -1:]))], axis=1)
        for v in (x, new_x)
    )
    line = LogisticRegression(max_iter=500).fit(flat, y)
    assert roc_auc_score(new_y, line.predict_proba(new_flat)[:, 1]) < 0.9
