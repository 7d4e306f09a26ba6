"""A refusal leaves the recipe's folder as it was: nothing, or the run that was there."""

from pathlib import Path

import pytest

from tocsin.core.errors import InputError
from tocsin.workflows.training.train import TrainOptions, train_recipe
from workflows.small import SMALL, make_small

TOO_FEW = "evaluation.max_false_positive_rate=0.0001"
SKIPPED = "stages.finetune.length=0 steps"
UNFIT = "evaluation.thresholds_per=nothing"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small(tmp_path_factory.mktemp("refused"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wrong", [TOO_FEW, SKIPPED, UNFIT], ids=["negatives", "plan", "thresholds"])
def test_what_is_refused_leaves_no_folder(recipe: Path, wrong: str) -> None:
    with pytest.raises(InputError):
        train_recipe(recipe, [*SMALL, "name=refused", wrong], TrainOptions(), lambda message: None)
    assert not (recipe.parent / "runs" / "refused").exists()


def test_the_mended_recipe_trains_and_a_refused_force_keeps_it(recipe: Path) -> None:
    with pytest.raises(InputError, match="negative validation rows"):
        train_recipe(recipe, [*SMALL, TOO_FEW], TrainOptions(), lambda message: None)
    result = train_recipe(recipe, SMALL, TrainOptions(variants=False), lambda message: None)
    before = contents(result.folder)
    assert str(result.runs[0].artifact / "manifest.json") in before
    with pytest.raises(InputError, match="negative validation rows"):
        train_recipe(recipe, [*SMALL, TOO_FEW], TrainOptions(force=True), lambda message: None)
    assert contents(result.folder) == before
    with pytest.raises(InputError, match="holds a run already"):  # the control: this folder is in use
        train_recipe(recipe, SMALL, TrainOptions(), lambda message: None)
