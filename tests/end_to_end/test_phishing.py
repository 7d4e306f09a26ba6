"""Messages from file to verdict: trained small, packaged, served alone as together, with evidence that matters."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tocsin.artifact.open import open_artifact
from tocsin.detectors.phishing.demo import make
from tocsin.detectors.phishing.evasion import measure_evasion
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor
from tocsin.workflows.judging.evaluate import evaluate_artifact
from tocsin.workflows.judging.replay import replay
from tocsin.workflows.training.train import TrainOptions, train_recipe
from tocsin.workflows.using.stores import Source

RECIPE = Path(__file__).parents[2] / "src/tocsin/detectors/phishing/recipes/demo.yaml"
PLACE = re.compile(r"(text|subject)\[(\d+):(\d+)\]")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("messages"), 0, rows=5000)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("phishing")
    sets = [
        f"data.train=[{data}]", f"output={folder}", "hardware=cpu", "compute.threads=1",
        "stages.fit.length=5 epochs", "evaluation.resamples=100", "evaluation.max_false_positive_rate=0.05",
        "evaluation.baselines=[rules,tfidf]",
    ]  # fmt: skip
    return train_recipe(RECIPE, sets, TrainOptions(), lambda message: None).runs[0]


@pytest.fixture(scope="module")
def predictor(run) -> Predictor:
    return Predictor.load(open_artifact(run.artifact))


@pytest.fixture(scope="module")
def positives(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Texts of messages that the model never saw and calls phishing."""
    path = make(tmp_path_factory.mktemp("new"), 9, rows=300)
    import polars as pl

    texts = pl.read_csv(path)["text"].to_list()
    verdicts = predictor.predict([Message(text=text) for text in texts])
    return [text for text, v in zip(texts, verdicts, strict=True) if v.label == "phishing"]


def test_it_reads_what_simple_models_cannot(run) -> None:
    models = run.evaluation.models
    area = {name: model.metrics["roc_auc"].value for name, model in models.items()}
    assert area["cnn-lstm"] > 0.93
    assert max(area["rules"], area["tfidf"]) < 0.8
    slices = {(s.by, s.name) for s in models["cnn-lstm"].slices}
    assert {("language", name) for name in ("en", "sw", "zh", "ru", "es", "de")} <= slices


def test_its_numbers_come_out_again_by_language_too(run, data: Path, tmp_path: Path) -> None:
    result = replay(Source(str(run.artifact), tmp_path), "all", [str(data)])
    assert "language=sw:recall" in {number.metric for number in result.numbers}
    assert result.same, [number for number in result.numbers if not number.same]


def test_evaluate_tells_the_languages_apart(run, data: Path, tmp_path: Path) -> None:
    result = evaluate_artifact(Source(str(run.artifact), tmp_path), [str(data)], "auto")
    assert {("language", "zh"), ("channel", "sms")} <= {(s.by, s.name) for s in result.evaluation.slices}


def test_alone_as_together(predictor: Predictor, positives: list[str]) -> None:
    samples = [Message(text=text) for text in positives[:20]] + [Message(text="?"), Message(text="我" * 5000)]
    together = [v.probability for v in predictor.predict(samples)]
    alone = [predictor.predict([sample])[0].probability for sample in samples]
    np.testing.assert_allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["\x00\x01\xff", "\u200b" * 50 + "a", "a" * 100_000, "<script>" * 999, "🜁" * 99]
)
def test_odd_messages_have_a_verdict(predictor: Predictor, text: str) -> None:
    (verdict,) = predictor.predict([Message(text=text)], explain=3)
    assert 0 <= verdict.probability <= 1


def test_evidence_names_the_characters_that_were_sent(predictor: Predictor, positives: list[str]) -> None:
    (verdict,) = predictor.predict([Message(text=positives[0])], explain=3)
    assert verdict.evidence
    for piece in verdict.evidence:
        place = PLACE.fullmatch(piece.name)
        assert place is not None
        assert piece.kind == "passage"
        assert piece.value == positives[0][int(place[2]) : int(place[3])]


def test_removing_the_evidence_lowers_the_score_more_than_removing_other_passages(
    predictor: Predictor, positives: list[str]
) -> None:
    rng, won = random.Random(0), []
    for text in positives[:60]:
        evidence = predictor.predict([Message(text=text)], explain=99)[0].evidence
        spans = [tuple(map(int, PLACE.fullmatch(e.name).groups()[1:])) for e in evidence]
        strongest = max(range(len(spans)), key=lambda i: evidence[i].weight)
        others = [cut(text, rng.choice(spans)) for _ in range(5)]
        left, *random_left = logits(predictor, [cut(text, spans[strongest]), *others])
        won.append(left <= np.mean(random_left))
    assert len(won) >= 40
    assert np.mean(won) >= 0.9


def cut(text: str, span: tuple[int, int]) -> str:
    return text[: span[0]] + " " + text[span[1] :]


def logits(predictor: Predictor, texts: list[str]) -> list[float]:
    return [
        float(np.log(v.probability / (1 - v.probability + 1e-12) + 1e-12)) for v in verdicts(predictor, texts)
    ]


def verdicts(predictor: Predictor, texts: list[str]) -> list:
    return predictor.predict([Message(text=text) for text in texts])


def test_disguises_that_folding_undoes_cost_nothing(predictor: Predictor, positives: list[str]) -> None:
    def score(texts: list[str]) -> np.ndarray:
        return np.array([v.probability for v in verdicts(predictor, texts)])

    threshold = predictor.artifact.manifest.calibration.threshold
    found = measure_evasion(score, positives, ["Dinner at eight with Anna"], threshold)
    assert found["zero-width"].lost < 0.1
    assert found["html hiding"].lost < 0.1


def test_the_artifact_has_the_tokenizer(run) -> None:
    folder = run.artifact / "encoder"
    options = json.loads((folder / "text.json").read_text())["options"]
    assert options == {"tokens": 96, "vocabulary": 2000, "letters": 512, "pretrained": None}
    assert 300 < Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size() <= 2000
