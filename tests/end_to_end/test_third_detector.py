"""A detector written as one folder in another package is found, trained, packaged and served; no other file changes."""

import json
from pathlib import Path

import pytest

from end_to_end.command import succeed, tocsin
from end_to_end.domains.training import make
from end_to_end.packages import install
from end_to_end.server import serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("domains", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def artifact(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, trained and sealed by the ordinary verbs."""
    folder = tmp_path_factory.mktemp("work")
    recipe = folder / "recipe.yaml"
    make(folder, 0)
    succeed("new", "domains", recipe, extra_path=site)
    sets = ["--set", f"data.train=[{folder / 'domains.csv'}]", "--set", f"output={folder / 'runs'}"]
    report = json.loads(succeed("train", recipe, *sets, "--json", extra_path=site))
    assert set(report["runs"][0]["evaluation"]["models"]) == {
        "model",
        "majority",
        "stump",
        "logistic",
        "lightgbm",
    }
    return Path(report["runs"][0]["artifact"])


def test_is_trained_better_than_chance(artifact: Path) -> None:
    evaluation = json.loads((artifact / "evaluation.json").read_text())
    models = evaluation["models"]
    assert (
        models["model"]["metrics"]["roc_auc"]["value"]
        > 0.95
        > models["majority"]["metrics"]["roc_auc"]["value"]
    )


def test_is_verified_and_served(artifact: Path, site: Path) -> None:
    succeed("verify", artifact, extra_path=site)
    with serving(artifact, extra_path=site) as server:
        answer = server.post("/v1/domains/predict", {"name": "xk3v9qz7wp2m.example"})
        refused = server.request("/v1/domains/predict", {"name": ""})
    assert answer["verdicts"][0]["label"] == "made"
    assert refused.status == 422


def test_without_its_package_it_is_not_there(tmp_path: Path) -> None:
    done = tocsin("new", "domains", tmp_path / "recipe.yaml")
    assert done.returncode == 2
    assert "no detector 'domains'" in done.stderr
