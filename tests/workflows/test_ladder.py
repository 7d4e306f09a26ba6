"""The ladder of a run: what is fitted, on which rows, and what is refused before anything is trained."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tocsin.core.axes import Axis
from tocsin.core.baseline import Inputs
from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector
from tocsin.core.promise import Promise
from tocsin.core.recipes import load_default, with_overrides
from tocsin.core.types import Arrays, take
from tocsin.engine.batch import Batch
from tocsin.engine.task import Part
from tocsin.workflows.training.ladder import check_ladder, fit_ladder
from tocsin.workflows.training.shipping import mixture, needed

RECIPE = load_default(load_detector("phishing"))


class Ragged:
    """One number that tells the label, and tokens of unlike length that do not."""

    axes = {"tokens": (Axis("places", "length"),)}  # noqa: RUF012

    def flatten(self, arrays: Arrays) -> tuple[np.ndarray, list[str], list[bool]]:
        return arrays["x"], ["x"], [False]


def part(rows: int, seed: int) -> Part:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    length = rng.integers(1, 9, rows)
    tokens = np.where(np.arange(8) < length[:, None], 5, 0)
    x = (label[:, None] + rng.normal(size=(rows, 1))).astype(np.float32)
    return Part({}, {"x": x, "tokens": tokens, "length": length}, {"label": label})  # type: ignore[arg-type]


class Batches:
    """Batches that are cut at their longest row; `flip` augments by turning the number round."""

    def __init__(self, part: Part, flip: bool) -> None:
        self.part, self.flip = part, flip
        self.promise = Promise("kept", "none") if flip else None

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Batch:
        rows = np.arange(index, len(self.part), 4)
        arrays = take(self.part.arrays, rows)
        arrays["tokens"] = arrays["tokens"][:, : arrays["length"].max()]
        arrays["x"] = -arrays["x"] if self.flip else arrays["x"]
        label = torch.from_numpy(self.part.label[rows])
        inputs = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in arrays.items()}
        return Batch(inputs, {"label": label}, torch.ones(len(rows)))


def member(names: list[str], flip: bool = False, **changes: Any) -> Any:
    recipe = with_overrides(RECIPE, {"evaluation.baselines": names, **changes})
    train, valid = part(301, 0), part(200, 1)
    parts = SimpleNamespace(encoder=Ragged(), train=train, valid=valid)
    batches = Batches(train, flip)
    stage = SimpleNamespace(train=batches, promise=batches.promise)
    return SimpleNamespace(job=SimpleNamespace(recipe=recipe, seed=0), parts=parts, stage=stage)


def quiet(message: str) -> None: ...


def test_baselines_are_fitted_in_the_order_of_the_recipe() -> None:
    ladder = fit_ladder(member(["stump", "lightgbm", "majority"]), quiet)
    assert list(ladder) == ["stump", "lightgbm", "majority"]
    assert fit_ladder(member([]), quiet) == {}


def test_trees_learn_once_more_from_rows_as_they_were_augmented() -> None:
    """Batches of unlike length are put together, and the label goes with its row."""
    run = member(["lightgbm", "stump", "majority"], flip=True)
    ladder = fit_ladder(run, quiet)
    assert list(ladder) == ["lightgbm", "lightgbm, augmented", "stump", "majority"]
    rows = Inputs(run.parts.encoder, run.parts.valid.arrays)
    plain, turned = (ladder[name].model.predict(rows) for name in ("lightgbm", "lightgbm, augmented"))
    truth = run.parts.valid.label == 1
    assert plain[truth].mean() > plain[~truth].mean() + 0.1
    assert turned[truth].mean() < turned[~truth].mean(), "it saw the numbers turned round"


def test_without_augmentation_nothing_is_fitted_twice() -> None:
    assert list(fit_ladder(member(["lightgbm"]), quiet)) == ["lightgbm"]


def test_what_ships_is_fitted_too() -> None:
    run = member(["majority"], **{"export.ship": "lightgbm"})
    assert list(fit_ladder(run, quiet)) == ["majority", "lightgbm"]


@pytest.mark.parametrize(
    ("letters", "parts"), [(True, ["model", "ngrams", "lightgbm"]), (False, ["model", "lightgbm"])]
)
def test_the_usual_average_holds_what_can_be_read(letters: bool, parts: list[str]) -> None:
    recipe = with_overrides(RECIPE, {"export.ship": "average"})
    arrays = {"shape": np.zeros((2, 1))} | ({"letters": np.zeros((2, 3))} if letters else {})
    assert list(mixture(recipe, arrays)) == parts
    assert list(needed(recipe, arrays)) == parts[1:]
    assert set(mixture(recipe, arrays).values()) == {1.0}


def test_given_weights_are_taken_as_they_are_the_model_first() -> None:
    weights = {"rules": 0.5, "model": 2}
    recipe = with_overrides(RECIPE, {"export.ship": "average", "export.weights": weights})
    assert list(mixture(recipe, {}).items()) == [("model", 2.0), ("rules", 0.5)]


@pytest.mark.parametrize(
    ("names", "changes", "complaint"),
    [
        (
            ["ngrams"],
            {},
            r"evaluation\.baselines: ngrams reads letters, and the arrays of these samples hold none",
        ),
        (["tfidf"], {}, r"evaluation\.baselines: tfidf reads texts, and these samples are none"),
        ([], {"export.ship": "rules"}, r"export\.ship: rules reads cues, and the arrays"),
        (
            [],
            {"export.ship": "lightgbm"},
            r"export\.ship: lightgbm reads flat features, .* cannot be flattened",
        ),
    ],
)
def test_what_cannot_be_read_or_shipped_is_refused(names: list[str], changes: dict, complaint: str) -> None:
    good, bad = member(["stump", "lightgbm"]), member(names, **changes)
    check_ladder(good.job.recipe, good.parts)
    with pytest.raises(InputError, match=complaint):
        check_ladder(bad.job.recipe, bad.parts)
