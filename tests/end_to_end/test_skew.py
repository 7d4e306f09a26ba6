"""Training and serving compute the same: 10,000 rows, features equal to the byte, probabilities to 1e-6."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load as load_safetensors

from tocsin.artifact.open import open_artifact
from tocsin.core.plugins import load_detector
from tocsin.core.recipes import parse_recipe
from tocsin.core.types import rows, tabulate, take, untabulate
from tocsin.data.sources import Reading, read
from tocsin.detectors.intrusion.demo import make
from tocsin.detectors.intrusion.model import Features, build_model
from tocsin.features.tabular import TabularEncoder
from tocsin.nn.export import reads
from tocsin.serve.predictor import Predictor
from tocsin.workflows.training.train import TrainOptions, train_recipe

ROWS = 10_000
SETTINGS = [
    "model.width=32", "model.layers=2", "model.heads=4", "model.feedforward=64", "evaluation.resamples=100",
    "stages.pretrain.length=5 steps", "stages.finetune.length=60 steps", "data.limit=4000", "hardware=cpu",
    "evaluation.baselines=[]", "evaluation.max_false_positive_rate=0.05",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("skew")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return make(folder, 3, rows=ROWS + 500)


@pytest.fixture(scope="module")
def predictor(folder: Path, data: Path) -> Predictor:
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"detector: intrusion\nname: skew\noutput: {folder}\ndata: {{sample: flow, train: [{data}]}}\n"
    )
    run = train_recipe(recipe, SETTINGS, TrainOptions(variants=False), lambda message: None).runs[0]
    return Predictor.load(open_artifact(run.artifact))


def test_ten_thousand_rows(predictor: Predictor, data: Path) -> None:
    detector = load_detector("intrusion")
    kind = detector.schemas["flow"].sample
    columns = take(read([data], detector.schemas["flow"], Reading()).columns, np.arange(ROWS))
    trained = predictor.encoder.encode(columns)
    body = json.dumps([untabulate(columns, i) for i in range(ROWS)]).encode()
    samples = TypeAdapter(list[kind]).validate_json(body)
    served = predictor.encoder.encode(tabulate(samples, kind))
    assert rows(served) == ROWS
    for name, values in trained.items():
        assert served[name].tobytes() == values.tobytes(), name
    assert (
        np.abs(probability_in_torch(predictor, trained) - probability_served(predictor, samples)).max()
        <= 1e-6
    )


def test_the_comparison_sees_a_changed_weight(predictor: Predictor, data: Path) -> None:
    detector = load_detector("intrusion")
    columns = take(read([data], detector.schemas["flow"], Reading()).columns, np.arange(50))
    kind = detector.schemas["flow"].sample
    samples = [kind.model_validate(untabulate(columns, i)) for i in range(50)]
    arrays = predictor.encoder.encode(columns)
    gap = np.abs(
        probability_in_torch(predictor, arrays, nudge=1e-2) - probability_served(predictor, samples)
    ).max()
    assert gap > 1e-6


def probability_served(predictor: Predictor, samples: list) -> np.ndarray:
    """Alone, in twos, in hundreds: the sizes must not matter."""
    found = [v.probability for v in predictor.predict(samples[:1])]
    found += [v.probability for v in predictor.predict(samples[1:3])]
    for start in range(3, len(samples), 100):
        found += [v.probability for v in predictor.predict(samples[start : start + 100])]
    return np.array(found)


def probability_in_torch(
    predictor: Predictor, arrays: dict[str, np.ndarray], nudge: float = 0.0
) -> np.ndarray:
    weights = load_safetensors(predictor.artifact.files["model.safetensors"])
    weights = {
        name: tensor + nudge if tensor.is_floating_point() else tensor for name, tensor in weights.items()
    }
    manifest = predictor.artifact.manifest
    encoder = predictor.encoder
    assert isinstance(encoder, TabularEncoder)
    config = parse_recipe(predictor.artifact.files["recipe.yaml"].decode(), "recipe.yaml").model
    features = Features(len(encoder.numeric), encoder.cardinalities, encoder.bins)
    model = build_model(features, config, len(manifest.calibration.categories))
    model.load_state_dict(weights)
    with torch.inference_mode():
        read = reads(model, arrays)
        logit = model.eval()(**{name: torch.from_numpy(values) for name, values in read.items()})["logit"]
    return torch.sigmoid(logit.double() / manifest.calibration.temperature).numpy()
