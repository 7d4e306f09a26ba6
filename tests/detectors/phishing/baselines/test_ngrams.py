"""The linear model of n-grams: learns what a text holds, and says the same as its graph."""

import numpy as np
import pytest
from scipy.special import expit

from baselines.made import arrays_only, labelled
from tocsin.core.baseline import Examples, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_baseline
from tocsin.detectors.phishing.baselines.ngrams import GramModel, add_ngrams
from tocsin.detectors.phishing.features.letters import BUCKETS, LETTERS, mark_letters
from tocsin.nn.onnx_graph import Graph, build_model
from tocsin.nn.sessions import open_session

PLACES = 48


def made(rows: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    words = np.array(["lamp", "chair", "密码", "hello", "Пароль", "tea"])
    texts = [
        f"{' '.join(rng.choice(words, 4))} {'verify' if y else 'dinner'} {rng.integers(99)}" for y in label
    ]
    arrays = {LETTERS: mark_letters(texts, PLACES)[0], "length": np.ones(rows, dtype=np.int64)}
    return labelled(arrays_only(arrays), label)


def fit_ngrams(train: Examples, valid: Examples) -> GramModel:
    return fit_baseline("ngrams", load_baseline("phishing", "ngrams"), train, valid, 0).model


@pytest.fixture(scope="module")
def model() -> GramModel:
    return fit_ngrams(made(300, 0), made(200, 1))


def test_it_learns_what_a_text_holds(model):
    rows = made(200, 2)
    assert ((model.predict(rows) >= 0.5) == rows.label).all()
    assert len(model.predict(arrays_only({LETTERS: rows.arrays[LETTERS][:0]}))) == 0


def test_shuffled_labels_teach_nothing():
    rows, test = made(300, 0), made(400, 2)
    shuffled = labelled(rows, np.random.default_rng(3).permutation(rows.label))
    model = fit_ngrams(shuffled, made(200, 1))
    assert abs(np.mean((model.predict(test) >= 0.5) == test.label) - 0.5) < 0.15


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_answers_as_the_model(seed):
    rng = np.random.default_rng(seed)
    model = GramModel(rng.normal(size=BUCKETS).astype(np.float32), 0.3)
    arrays = made(64, seed).arrays
    odd = mark_letters(["", "\u0000\U0010ffff" * 40, "a" * 999], PLACES)[0]
    arrays = {name: values[:3] if name != LETTERS else odd for name, values in arrays.items()} | {
        LETTERS: odd
    }
    graph = Graph("grams")
    onnx = build_model(graph, arrays, add_ngrams(graph, model))
    for batch in (arrays, made(64, seed).arrays):
        read = {LETTERS: batch[LETTERS]}
        (logit,) = open_session(onnx).run(["logit"], read)
        np.testing.assert_allclose(
            expit(logit.astype(np.float64)), model.predict(arrays_only(batch)), atol=1e-6
        )
        alone = [open_session(onnx).run(["logit"], {LETTERS: read[LETTERS][i : i + 1]})[0][0] for i in (0, 2)]
        np.testing.assert_array_equal(alone, logit[[0, 2]])


def test_what_cannot_be_fitted_is_refused():
    rows = made(50, 0)
    with pytest.raises(InputError, match="both classes"):
        fit_ngrams(labelled(rows, np.zeros(50, dtype=int)), rows)
    without = labelled(arrays_only({"length": rows.arrays["length"]}), rows.label)
    with pytest.raises(InputError, match="ngrams reads letters, and the arrays of these samples hold none"):
        fit_ngrams(without, without)
