"""Every recipe of the detector loads over the default, and can read the data that it names."""

from pathlib import Path

import pytest

from tocsin.core.recipes import load_recipe
from tocsin.data.sources import Reading, read
from tocsin.detectors.phishing import DETECTOR

ROOT = Path(__file__).resolve().parents[3]
OWN = sorted((DETECTOR.folder / "recipes").glob("*.yaml"))
PUBLISHED = sorted((ROOT / "recipes" / "phishing").glob("*.yaml"))


def test_they_are_there() -> None:
    assert {path.stem for path in OWN} >= {"default", "smoke", "demo"}
    names = {"messages", "messages-original", "messages-strict", "leave-source-out", "leave-language-out"}
    assert {path.stem for path in PUBLISHED} == names


@pytest.mark.parametrize("path", OWN + PUBLISHED, ids=lambda path: path.stem)
def test_it_loads(path: Path) -> None:
    recipe = load_recipe(path).recipe
    assert recipe.detector == "phishing"
    assert recipe.stages.keys() == {"fit"}
    assert recipe.data.sample in DETECTOR.schemas


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_its_data_is_read(path: Path, shared_data: Path) -> None:
    recipe = load_recipe(path).recipe
    files = [shared_data.parent / name for name in recipe.data.train]
    how = Reading(layout=recipe.data.layout, limit=3000, group=recipe.split.group)
    data = read(files, DETECTOR.schemas["message"], how)
    assert 1000 < len(data) < 3000, "bare links are left out"
    assert not data.refused
    assert set(data.label.tolist()) == {0, 1}
    assert {"source", "language", "channel", "origin", "split"} <= data.facets.keys()
    assert "url" not in set(data.facets["channel"])
