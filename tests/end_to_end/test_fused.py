"""Two models cross-fitted and fused in one folder: out-of-fold scores, a step made of them, one graph of all three."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from end_to_end.command import succeed, tocsin
from end_to_end.fused.demo import make
from end_to_end.fused.encode import BUCKETS, NUMBERS, LoginEncoder
from end_to_end.fused.model import FusedNet, FusionNet, NumbersNet, WordsNet
from end_to_end.fused.sample import Login
from end_to_end.packages import install
from end_to_end.server import serving
from tocsin.artifact.open import open_artifact
from tocsin.core.heads import probability
from tocsin.core.types import tabulate
from tocsin.engine.cross import SEEN
from tocsin.serve.predictor import Predictor

FOLDS, WIDTH, LONGEST = 3, 16, 20
"""As the recipe has them: folds, hidden numbers, and most epochs of the fusion."""
LOUD = Login(hour=3.0, failures=9, agent="curl/7 wget/1 masscan/2 crawler/9 headless/3 probe/4")
QUIET = Login(hour=16.0, failures=0, agent="gecko/7 safari/1 mobile/2 tablet/9 edge/3 mac/4")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("fused", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def artifact(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, trained and sealed by the ordinary verbs, beside each of its two models alone."""
    folder = tmp_path_factory.mktemp("work")
    report = json.loads(succeed(*command(folder, site, make(folder, 0)), "--json", extra_path=site))
    return Path(report["runs"][0]["artifact"])


def command(folder: Path, site: Path, data: Path) -> list[object]:
    """Return how `tocsin` is asked to train in a folder, by the detector's own recipe."""
    succeed("new", "fused", folder / "recipe.yaml", extra_path=site)
    sets = [f"data.train=[{data}]", f"output={folder / 'runs'}"]
    return ["train", folder / "recipe.yaml", *(part for one in sets for part in ("--set", one))]


@pytest.fixture(scope="module")
def fits(artifact: Path) -> Path:
    """The folder that holds a folder for each fit of the model."""
    return artifact.parent / "models" / "model"


@pytest.fixture(scope="module")
def predictor(artifact: Path, site: Path) -> Iterator[Predictor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield Predictor.load(open_artifact(artifact))


@pytest.fixture(scope="module")
def logins(tmp_path_factory: pytest.TempPathFactory) -> list[Login]:
    """Logins that nobody trained on."""
    lines = make(tmp_path_factory.mktemp("new"), 1, 60).read_text().splitlines()
    return [Login(**{name: json.loads(line)[name] for name in Login.model_fields}) for line in lines]


def test_both_models_together_are_better_than_each_alone(artifact: Path) -> None:
    models = json.loads((artifact / "evaluation.json").read_text())["models"]
    auc = {name: model["metrics"]["roc_auc"]["value"] for name, model in models.items()}
    assert set(auc) == {"model", "numbers", "words"}
    for base in ("numbers", "words"):
        assert 0.75 < auc[base] < 0.85
        assert auc["model"] > auc[base] + 0.05


@pytest.mark.parametrize("base", ["numbers", "words"])
def test_every_row_was_kept_from_the_fit_that_scored_it(artifact: Path, fits: Path, base: str) -> None:
    """Each fold's fit saw all rows but its own, and each row is in one fold; the last fit was not a fold's."""
    total = json.loads((artifact / "evaluation.json").read_text())["split"]["rows"]["train"]
    seen = [
        np.unpackbits(
            np.frombuffer((fits / f"{base}-fold-{fold}" / SEEN).read_bytes(), np.uint8), count=total
        )
        for fold in range(FOLDS)
    ]
    assert (np.sum(seen, axis=0) == FOLDS - 1).all()
    assert all(0.6 * total < one.sum() < 0.73 * total for one in seen)
    assert not (fits / base / SEEN).exists()


def test_the_fusion_stopped_on_rows_of_validation(fits: Path) -> None:
    header, *epochs = (fits / "fusion" / "metrics_history.csv").read_text().splitlines()
    assert "val_roc_auc" in header.split(",")
    assert 3 < len(epochs) < LONGEST


def test_a_fold_that_trains_on_what_it_scores_is_found_out(site: Path, tmp_path: Path) -> None:
    """The control: `make` hands all training rows to each fold, and nothing is sealed."""
    done = tocsin(
        *command(tmp_path, site, make(tmp_path, 0, 1_000)), "--set", "model.lies=true", extra_path=site
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tocsin: numbers-fold-0: a training batch held row ")
    assert last.endswith(", which this fit is to score, or one of its cluster")
    assert not done.stdout.strip()
    assert not [*tmp_path.rglob("manifest.json"), *tmp_path.rglob("*.onnx")]


def test_one_graph_reads_what_both_models_read(artifact: Path) -> None:
    (graph,) = artifact.rglob("*.onnx")
    session = onnxruntime.InferenceSession(graph)
    shapes = {one.name: one.shape[1:] for one in session.get_inputs()}
    assert shapes == {"numbers": [len(NUMBERS)], "words": [BUCKETS]}
    assert [one.name for one in session.get_outputs()] == ["logit"]


def test_it_is_the_last_fits_that_are_packaged(predictor: Predictor, fits: Path, logins: list[Login]) -> None:
    columns = tabulate(logins, Login)
    packaged = predictor.outputs(columns)["logit"]
    arrays = {name: torch.from_numpy(one) for name, one in predictor.encoder.encode(columns).items()}

    def fused(numbers: str) -> np.ndarray:
        parts = {numbers: NumbersNet(WIDTH), "words": WordsNet(), "fusion": FusionNet()}
        for name, part in parts.items():
            part.load_state_dict(load_file(fits / name / "best.safetensors"))
        with torch.no_grad():
            found: np.ndarray = FusedNet(*parts.values())(**arrays)["logit"].numpy()
        return found

    np.testing.assert_allclose(packaged, fused("numbers"), rtol=1e-5, atol=1e-5)
    assert np.abs(packaged - fused("numbers-fold-0")).max() > 1e-3, "the control: the model of a fold"


def test_either_part_of_a_login_moves_the_answer(predictor: Predictor) -> None:
    mixed = [
        LOUD,
        LOUD.model_copy(update={"agent": QUIET.agent}),
        QUIET.model_copy(update={"agent": LOUD.agent}),
        QUIET,
    ]
    verdicts = predictor.predict(mixed, explain=2)
    loud, quiet_agent, quiet_numbers, quiet = (verdict.probability for verdict in verdicts)
    assert loud > max(quiet_agent, quiet_numbers) + 0.1
    assert min(quiet_agent, quiet_numbers) > quiet + 0.1
    assert [verdict.label for verdict in (verdicts[0], verdicts[-1])] == ["attack", "usual"]
    assert len(verdicts[0].evidence) == 2


def test_predict_verify_and_scan(
    artifact: Path, site: Path, predictor: Predictor, logins: Sequence[Login], tmp_path: Path
) -> None:
    succeed("verify", artifact, extra_path=site)
    known = predictor.predict(logins)
    assert {verdict.label for verdict in known} == {"attack", "usual"}
    file = tmp_path / "new.jsonl"
    file.write_text("".join(login.model_dump_json() + "\n" for login in logins))
    succeed("predict", artifact, file, "--output", tmp_path / "verdicts.jsonl", extra_path=site)
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [v["label"] for v in verdicts] == [v.label for v in known]
    file.write_text(file.read_text() + "no login\n")
    done = tocsin("scan", "--artifact", artifact, file, "--format", "jsonl", extra_path=site)
    assert done.returncode == 10, done.stderr
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f["target"] for f in found] == [f"{file}:{number}" for number in range(1, len(logins) + 1)]
    assert [f["verdict"]["label"] for f in found] == [v.label for v in known]
    assert last["target"] == f"{file}:{len(logins) + 1}"
    assert last["error"] == "hour: Field required"


def test_served_answers_are_those_of_the_packaged_graph(
    artifact: Path, site: Path, predictor: Predictor, logins: Sequence[Login]
) -> None:
    (graph,) = artifact.rglob("*.onnx")
    arrays = predictor.encoder.encode(tabulate(logins, Login))
    (logit,) = onnxruntime.InferenceSession(graph).run(["logit"], arrays)
    temperature = json.loads((artifact / "manifest.json").read_text())["calibration"]["temperature"]
    with serving(artifact, extra_path=site) as server:
        answers = [
            server.post("/v1/fused/predict", login.model_dump())["verdicts"][0]["probability"]
            for login in logins
        ]
        refused = server.request("/v1/fused/predict", {"hour": 24.0, "failures": 0, "agent": ""})
    np.testing.assert_allclose(answers, probability(logit, temperature), rtol=1e-5, atol=1e-6)
    assert np.ptp(answers) > 0.5
    assert refused.status == 422


def test_the_encoder_is_read_back_to_the_byte(logins: Sequence[Login]) -> None:
    columns = tabulate(logins, Login)
    encoder = LoginEncoder().fit(columns)
    first, again = (one.encode(columns) for one in (encoder, LoginEncoder.load(encoder.save())))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert np.abs(first["numbers"].mean(axis=0)).max() < 1e-5
    assert (first["words"].sum(axis=1) > 0).all()
