"""The linear model of n-grams ships in a network's place, and averaged with it: one graph, one answer."""

from pathlib import Path

import numpy as np
import pytest

from end_to_end.told import make_told
from tocsin.artifact.open import open_artifact
from tocsin.core.errors import InputError
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor
from tocsin.workflows.training.train import TrainOptions, train_recipe

RECIPE = Path(__file__).parents[2] / "src/tocsin/detectors/phishing/recipes/smoke.yaml"
BASE = (
    "hardware=cpu", "compute.threads=1", "stages.fit.length=12 steps", "evaluation.baselines=[ngrams]",
    "evaluation.max_false_positive_rate=0.1", "evaluation.confidence=null", "data.limit=null",
)  # fmt: skip

READ = {
    "ngrams": {"letters"},
    "rules": {"cues"},
    "lightgbm": {"shape"},
    "average": {"tokens", "length", "shape", "letters"},
}
"""What ships -> the arrays that its graph reads."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_told(tmp_path_factory.mktemp("data"), 1000)


@pytest.fixture(scope="module", params=["ngrams", "average", "lightgbm", "rules"])
def run(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory):
    sets = [
        *BASE,
        f"data.train=[{data}]",
        f"output={tmp_path_factory.mktemp('run')}",
        f"export.ship={request.param}",
    ]
    return request.param, train_recipe(RECIPE, sets, TrainOptions(), lambda message: None).runs[0]


def test_what_ships_is_what_is_reported_first(run) -> None:
    ship, result = run
    models = result.evaluation.models
    assert result.evaluation.primary == ship
    assert models[ship].kind == ("model" if ship == "average" else "baseline")
    assert set(models) >= {ship, "model"}
    assert ("lightgbm, augmented" in models) == (ship in ("lightgbm", "average")), "messages are augmented"
    reads = ship in ("ngrams", "average")
    assert (models[ship].metrics["roc_auc"].value > 0.9) == reads
    assert models["model"].metrics["roc_auc"].value < 0.9


def test_alone_as_together_and_with_evidence(run) -> None:
    ship, result = run
    predictor = Predictor.load(open_artifact(result.artifact))
    assert {spec.name for spec in predictor.artifact.manifest.inputs} == READ[ship], "and nothing else"
    texts = ["hello zvx", "hello", "", "密码 zvx", "\x00\U0010ffff" * 50, "a" * 9000]
    samples = [Message(text=text or ".") for text in texts]
    together = [v.probability for v in predictor.predict(samples)]
    alone = [predictor.predict([sample])[0].probability for sample in samples]
    np.testing.assert_allclose(alone, together, atol=1e-6)
    if ship not in ("ngrams", "average"):
        return
    assert together[0] > together[1]
    (verdict,) = predictor.predict([Message(text="nothing here to see. but zvx")], explain=9)
    assert "zvx" in max(verdict.evidence, key=lambda piece: piece.weight).value


def test_without_letters_there_is_nothing_to_ship(data: Path, tmp_path: Path) -> None:
    sets = [*BASE, f"data.train=[{data}]", f"output={tmp_path}", "export.ship=ngrams", "model.letters=0"]
    with pytest.raises(InputError, match="letters"):
        train_recipe(RECIPE, sets, TrainOptions(), lambda message: None)
