"""Rules: kinds of words in any language, a count that becomes a probability, and the same inside the graph."""

import numpy as np
import pytest
from scipy.special import expit

from baselines.made import arrays_only, labelled
from tocsin.core.baseline import Examples, fit_baseline
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_baseline
from tocsin.detectors.phishing.baselines.rules import RuleModel, add_rules
from tocsin.detectors.phishing.features.cues import CUES, WORDS, mark_cues
from tocsin.detectors.phishing.features.folding import fold
from tocsin.nn.onnx_graph import Graph, build_model
from tocsin.nn.sessions import open_session

SHOWN = [
    ("URGENT: verify your password now", {"hurry", "credentials"}),
    ("您的账户已被锁定,请立即登录", {"hurry", "credentials"}),
    ("Срочно подтвердите пароль", {"hurry", "credentials"}),
    ("Hongera! Umeshinda zawadi, piga 0712345678", {"money", "numbers to call"}),
    ("see http://192.0.2.7/login", {"links", "odd hosts"}),
    ("v\u200berify your acc\u043eunt", {"credentials"}),
    ("the insurgent konstellation was free-form", {"money"}),
    ("resurgent, seaccount, dinner at eight", set()),
    ("", set()),
]


@pytest.mark.parametrize(("text", "kinds"), SHOWN)
def test_kinds_are_found_where_words_begin(text: str, kinds: set[str]) -> None:
    (shown,) = mark_cues([fold(text)])
    assert {kind for kind, is_shown in zip(WORDS, shown, strict=True) if is_shown} == kinds


def test_every_word_is_one_that_folding_leaves() -> None:
    """A word that folding changes could never be found."""
    for kind in ("hurry", "credentials", "money"):
        assert [word for word in WORDS[kind] if fold(word) != word.strip()] == [], kind


def made(rows: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    cues = (rng.random((rows, len(WORDS))) < 0.2 + 0.4 * label[:, None]).astype(np.int32)
    return labelled(arrays_only({CUES: cues}), label)


def fit_rules(rows: Examples) -> RuleModel:
    return fit_baseline("rules", load_baseline("phishing", "rules"), rows, rows, 0).model


def test_more_kinds_never_mean_less_and_the_graph_answers_as_the_model() -> None:
    rows = made(2000, 0)
    model = fit_rules(rows)
    assert (np.diff(model.table) >= 0).all()
    assert np.isfinite(model.table).all()
    graph = Graph("rules")
    onnx = build_model(graph, rows.arrays, add_rules(graph, model))
    for size in (0, 1, 2000):
        part = {CUES: rows.arrays[CUES][:size]}
        (logit,) = open_session(onnx).run(["logit"], part)
        wanted = model.predict(arrays_only(part))
        np.testing.assert_allclose(expit(logit.astype(np.float64)), wanted, atol=1e-6)
    counts = rows.arrays[CUES].sum(axis=1)
    often = np.bincount(counts).argmax()
    same = counts == often
    assert model.predict(rows)[same][0] == pytest.approx(rows.label[same].mean(), abs=0.06)


def test_labels_that_say_nothing_teach_nothing() -> None:
    rows = made(2000, 1)
    shuffled = labelled(rows, np.random.default_rng(2).permutation(rows.label))
    assert np.ptp(expit(fit_rules(shuffled).table)) < 0.25


def test_arrays_without_cues_are_refused() -> None:
    without = labelled(arrays_only({"length": np.zeros(2)}), np.array([0, 1]))
    with pytest.raises(InputError, match="rules reads cues, and the arrays of these samples hold none"):
        fit_rules(without)
