"""Each value of a facet has its confusion matrix and its ROC curve; what holds one class has none."""

import numpy as np
import pytest

from tocsin.metrics.comparison import NOVELTY
from tocsin.metrics.evaluation import evaluate_binary
from tocsin.workflows.pages.facet_figures import draw_by_facet


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(0)
    truth = np.arange(600) % 2
    score = np.clip(0.3 * truth + 0.7 * rng.random(600), 0, 1)
    language = np.array(["en", "sw", "zh"], dtype=object)[np.arange(600) // 200]
    source = np.where(truth == 1, "traps", "office").astype(object)
    return evaluate_binary(truth, score, 0.5, slices={"language": language, "source": source}).slices


def test_a_slice_has_its_counts_and_its_curve(lines):
    english = next(s for s in lines if s.name == "en")
    (tn, fp), (fn, tp) = english.confusion.matrix()
    assert (tn + fp, fn + tp) == (100, 100)
    assert english.recall.value == tp / 100
    assert english.accuracy == (tn + tp) / 200
    assert english.roc.x[-1] == english.roc.y[-1] == 1
    area = np.trapezoid(english.roc.y, english.roc.x)
    assert area == pytest.approx(english.roc_auc, abs=0.02)
    assert english.pr_auc is not None
    one_class = next(s for s in lines if s.name == "traps")
    assert (one_class.roc.x, one_class.roc_auc) == ((), None)


def test_figures_by_language_and_none_of_sources_with_one_class(lines):
    found = draw_by_facet(lines)
    assert set(found) == {"confusion_by_language", "roc_by_language"}
    matrices, curves = found.values()
    assert [axis.get_title() for axis in matrices.axes] == ["en", "sw", "zh"]
    shown = [text.get_text().split("\n")[0] for text in matrices.axes[0].texts]
    english = next(s for s in lines if s.name == "en")
    assert shown == [str(n) for n in np.ravel(english.confusion.matrix())]
    labels = [text.get_text() for text in curves.axes[0].get_legend().get_texts()]
    assert labels == [f"{s.name}: {s.roc_auc:.3f}" for s in lines if s.by == "language"]
    assert draw_by_facet(()) == {}


@pytest.mark.parametrize(("by", "drawn"), [("sensor", True), (NOVELTY, False)])
def test_every_facet_is_drawn_but_not_what_training_held(by: str, drawn: bool):
    truth = np.arange(400) % 2
    values = np.array(["one", "two"], dtype=object)[np.arange(400) // 200]
    lines = evaluate_binary(truth, truth * 0.5 + 0.25, 0.5, slices={by: values}).slices
    assert set(draw_by_facet(lines)) == ({f"confusion_by_{by}", f"roc_by_{by}"} if drawn else set())
