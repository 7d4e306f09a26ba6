"""The linear model of n-grams: learns what a text holds, and says the same as its graph."""

import numpy as np
import pytest
from scipy.special import expit

from tocsin.audit.ngrams import GramModel, fit_ngrams
from tocsin.core.errors import InputError
from tocsin.features.letters import BUCKETS, LETTERS, mark_letters
from tocsin.nn.graphs import Graph, build_model
from tocsin.nn.ngrams import add_ngrams
from tocsin.nn.sessions import open_session

PLACES = 48


def made(rows: int, seed: int):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    words = np.array(["lamp", "chair", "密码", "hello", "Пароль", "tea"])
    texts = [
        f"{' '.join(rng.choice(words, 4))} {'verify' if y else 'dinner'} {rng.integers(99)}" for y in label
    ]
    return {LETTERS: mark_letters(texts, PLACES)[0], "length": np.ones(rows, dtype=np.int64)}, label


@pytest.fixture(scope="module")
def model() -> GramModel:
    return fit_ngrams(made(300, 0), made(200, 1), 0)


def test_it_learns_what_a_text_holds(model):
    arrays, label = made(200, 2)
    assert ((model.predict(arrays) >= 0.5) == label).all()
    assert len(model.predict({LETTERS: arrays[LETTERS][:0]})) == 0


def test_shuffled_labels_teach_nothing():
    arrays, label = made(300, 0)
    model = fit_ngrams((arrays, np.random.default_rng(3).permutation(label)), made(200, 1), 0)
    test, truth = made(400, 2)
    assert abs(np.mean((model.predict(test) >= 0.5) == truth) - 0.5) < 0.15


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_answers_as_the_model(seed):
    rng = np.random.default_rng(seed)
    model = GramModel(rng.normal(size=BUCKETS).astype(np.float32), 0.3, 0.0, "")
    arrays, _ = made(64, seed)
    odd = mark_letters(["", "\u0000\U0010ffff" * 40, "a" * 999], PLACES)[0]
    arrays = {name: values[:3] if name != LETTERS else odd for name, values in arrays.items()} | {
        LETTERS: odd
    }
    graph = Graph("grams")
    onnx = build_model(graph, arrays, add_ngrams(graph, LETTERS, model.weights, model.bias))
    for batch in (arrays, made(64, seed)[0]):
        (logit,) = open_session(onnx).run(["logit"], batch)
        np.testing.assert_allclose(expit(logit.astype(np.float64)), model.predict(batch), atol=1e-6)
        alone = [
            open_session(onnx).run(["logit"], {k: v[i : i + 1] for k, v in batch.items()})[0][0]
            for i in (0, 2)
        ]
        np.testing.assert_array_equal(alone, logit[[0, 2]])


def test_what_cannot_be_fitted_is_refused():
    arrays, label = made(50, 0)
    with pytest.raises(InputError, match="both classes"):
        fit_ngrams((arrays, np.zeros(50, dtype=int)), (arrays, label), 0)
    with pytest.raises(InputError, match="no letters"):
        fit_ngrams(({}, label), ({}, label), 0)
