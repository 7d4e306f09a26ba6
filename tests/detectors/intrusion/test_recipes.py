"""Every recipe of the detector loads over the default, and can read the data that it names."""

from pathlib import Path

import pytest

from tocsin.core.recipes import load_recipe, with_overrides
from tocsin.data.sources import Reading, read
from tocsin.detectors.intrusion import DETECTOR

ROOT = Path(__file__).resolve().parents[3]
OWN = sorted((DETECTOR.folder / "recipes").glob("*.yaml"))
PUBLISHED = sorted((ROOT / "recipes" / "intrusion").glob("*.yaml"))


def test_they_are_there():
    assert {path.stem for path in OWN} >= {"default", "smoke", "demo"}
    assert {p.stem for p in PUBLISHED} == {"nsl-kdd", "unsw", "unsw-unseen", "cicids-days", "unsw-to-cicids"}


@pytest.mark.parametrize("path", OWN + PUBLISHED, ids=lambda path: path.stem)
def test_it_loads(path):
    recipe = load_recipe(path).recipe
    assert recipe.detector == "intrusion"
    assert recipe.stages.keys() == {"pretrain", "finetune"}
    assert recipe.data.sample in DETECTOR.schemas


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_its_data_is_read(path, shared_data):
    recipe = load_recipe(path).recipe
    files = [shared_data.parent / name for name in (*recipe.data.train, *recipe.data.test)]
    schema = DETECTOR.schemas[recipe.data.sample]
    datasets = [read([file], schema, Reading(layout=recipe.data.layout, limit=3000)) for file in files]
    assert all(len(d) == 3000 and len(set(d.label.tolist())) == 2 for d in datasets)


def test_held_out_categories_are_in_the_data(shared_data):
    recipe = load_recipe(ROOT / "recipes/intrusion/cicids-days.yaml").recipe
    dataset = read([shared_data.parent / name for name in recipe.data.train], DETECTOR.schemas["cicids"])
    assert set(recipe.split.hold_out) < set(dataset.category)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_its_variants_change_one_thing(path):
    recipe = load_recipe(path).recipe
    scratch, tab = (with_overrides(recipe, recipe.variants[name]) for name in ("scratch", "tab-transformer"))
    assert scratch.stages["pretrain"].length.count == 0 < recipe.stages["pretrain"].length.count
    assert (tab.model.architecture, recipe.model.architecture) == ("tab-transformer", "ft-transformer")
    assert scratch.model == recipe.model
    assert tab.stages == recipe.stages
