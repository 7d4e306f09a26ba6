"""A pretrained encoder from folder to verdict: what is sealed needs neither the folder, nor torch, nor transformers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from detectors.phishing.tiny import make_tiny
from end_to_end.told import make_told
from tocsin.artifact.open import open_artifact
from tocsin.cli import app as program
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor
from tocsin.workflows.training.train import TrainOptions, train_recipe

RECIPE = Path(__file__).parents[2] / "src/tocsin/detectors/phishing/recipes/smoke.yaml"
TEXTS = [
    "Please verify your account now, zvx!",
    "Dinner at eight?",
    "您的账户已被锁定",
    ".",
    "</s> <mask> <pad>",
]
SERVE = """
import json, sys
from tocsin.artifact.open import open_artifact
from tocsin.detectors.phishing.sample import Message
from tocsin.serve.predictor import Predictor
predictor = Predictor.load(open_artifact(__import__("pathlib").Path(sys.argv[1])))
verdicts = predictor.predict([Message(text=text) for text in json.loads(sys.argv[2])], explain=2)
assert not {"torch", "transformers", "huggingface_hub"} & set(sys.modules)
print(json.dumps([verdict.probability for verdict in verdicts]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_told(tmp_path_factory.mktemp("data"), 600)


def sets(data: Path, output: Path, pretrained: object, *more: str) -> list[str]:
    return [
        f"data.train=[{data}]", f"output={output}", "data.limit=null", "hardware=cpu", "compute.threads=1",
        "model.architecture=pretrained", f"model.pretrained={pretrained}", "model.tokens=48", "model.wide=0",
        "stages.fit.length=24 steps", "stages.fit.batch_size=32", "evaluation.resamples=100",
        "evaluation.baselines=[majority]", "evaluation.max_false_positive_rate=0.1", "evaluation.confidence=null",
        *more,
    ]  # fmt: skip


GROUPS = "stages.fit.optim.groups={trunk.encoder.*: {learning_rate_scale: 0.5}}"


@pytest.fixture(scope="module")
def artifact(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sealed; the pretrained folder is deleted."""
    folder = make_tiny(tmp_path_factory.mktemp("tiny"), "xlm-roberta", pl.read_csv(data)["text"].to_list())
    options = sets(data, tmp_path_factory.mktemp("run"), folder, GROUPS)
    run = train_recipe(RECIPE, options, TrainOptions(), lambda message: None).runs[0]
    shutil.rmtree(folder)
    return run.artifact


def test_it_answers_without_the_folder_and_the_libraries(artifact: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(artifact), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    predictor = Predictor.load(open_artifact(artifact))
    alone = [predictor.predict([Message(text=text)])[0].probability for text in TEXTS]
    np.testing.assert_allclose(json.loads(done.stdout), alone, atol=1e-6)


def test_all_of_it_is_in_the_artifact(artifact: Path) -> None:
    names = {path.name for path in artifact.rglob("*") if path.is_file()}
    assert {"tokenizer.json", "text.json", "model.onnx"} <= names
    options = json.loads((artifact / "encoder" / "text.json").read_text())["options"]
    assert (options["pretrained"] is not None, options["tokens"]) == (True, 48)
    assert '"<mask>"' in (artifact / "encoder" / "tokenizer.json").read_text()


@pytest.fixture
def refusal(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `tocsin train` with a pretrained folder or id, and return the one line that it ends with."""

    def run(pretrained: object, *more: str) -> str:
        options = [f"--set={pair}" for pair in sets(data, tmp_path / "run", pretrained, *more)]
        monkeypatch.setattr(sys, "argv", ["tocsin", "train", str(RECIPE), *options])
        with pytest.raises(SystemExit) as left:
            program.main()
        assert left.value.code == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tocsin:")]
        return line

    return run


def test_what_cannot_be_fetched_is_told(refusal) -> None:
    """HF_HUB_OFFLINE is set for all tests."""
    assert "'nobody/has-this' is no folder, and the hub gives nothing of it" in refusal("nobody/has-this")


def test_without_the_library_the_extra_is_named(
    refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny(tmp_path / "tiny", "bert")
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "needs transformers, which is not installed: pip install 'tocsin[pretrained]'" in refusal(folder)


def test_too_few_places_are_told_by_their_key(refusal, tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "tiny", "bert")
    assert f"model.tokens: 128, but {folder} reads 64 at most" in refusal(folder, "model.tokens=128")
