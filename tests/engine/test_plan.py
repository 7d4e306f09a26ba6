"""A plan is a graph of fits: later ones are made of earlier ones, and what is packaged may be made of all."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from engine.fold_runs import ROWS, SECTION, batches, make_context, make_stage, run
from engine.runs import FEATURES, Classify, Net, same
from engine.test_cross import Torn, tearing
from tocsin.core.errors import InputError
from tocsin.core.heads import LOGIT
from tocsin.core.promise import Promise
from tocsin.core.types import Arrays, Files, take
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import ROW, Batch
from tocsin.engine.task import CrossFit, Fits, Part, Plan, Stage, WarmStart
from tocsin.engine.weights import put_weights
from tocsin.nn.export import export_onnx
from tocsin.nn.sessions import open_session, score

CONTEXT = make_context()
AXES: dict[str, Any] = {}


class Weigh(nn.Module):
    """Two scores in, one out."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = nn.Linear(2, 1)

    def forward(self, scores: Tensor) -> dict[str, Tensor]:
        return {"logit": self.sum(scores)[:, 0]}


class WeighTask(Classify):
    def build(self) -> nn.Module:
        return Weigh()

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Any:
        return super().step(_Renamed(model), {"x": inputs["scores"]}, targets)  # type: ignore[arg-type]


@dataclass
class _Renamed:
    model: nn.Module

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        return dict(self.model(scores=x))


class Fused(nn.Module):
    """Both models and what weighs them, in one graph."""

    def __init__(self, first: nn.Module, second: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.last = first, second, last

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return dict(self.last(torch.stack([self.first(x)["logit"], self.second(x)["logit"]], dim=1)))


def small(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid, Classify(4, 0.0))


def large(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid, Classify(16, 0.0))


def both(scores: list[Arrays]) -> np.ndarray:
    return np.stack([found["logit"] for found in scores], axis=1)


def weighing(fits: Fits) -> Stage:
    """The step that is made of two others: their out-of-fold scores in training, their last models' in validation."""
    bases = [fits[name] for name in ("small", "large")]
    inputs = [both([fit.out_of_fold for fit in bases]), both([fit.scores(fit.stage.valid) for fit in bases])]
    train, valid = CONTEXT.train, CONTEXT.valid
    made = [
        ArrayBatches({"scores": values}, {"label": part.label}, 16, 1, draw)
        for values, part, draw in zip(inputs, (train, valid), ("shuffle", "sequential"), strict=True)  # type: ignore[arg-type]
    ]
    return Stage("weigh", WeighTask(dropout=0.0), *made, SECTION)


def fuse(fits: Fits) -> nn.Module:
    return Fused(*(fits[name].module() for name in ("small", "large", "weigh")))


def fusion() -> Plan:
    folds = CONTEXT.folds(3)
    return Plan((CrossFit("small", small, folds), CrossFit("large", large, folds), weighing), fuse, (LOGIT,))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(fusion(), CONTEXT, tmp_path_factory.mktemp("fused"))


def test_the_last_step_learns_from_scores_of_models_that_had_not_seen_the_rows(fused: Any) -> None:
    assert list(fused.fits) == ["small", "large", "weigh"]
    seen = fused.last.stage.train.inputs["scores"]
    assert np.array_equal(seen[:, 0], fused.fits["small"].out_of_fold["logit"])
    own = fused.fits["small"].scores(batches(CONTEXT.train, "sequential"))["logit"]
    assert np.abs(seen[:, 0] - own).max() > 1e-3, "the control: the last model has seen them"
    assert set(fused.last.report.metrics) == {"accuracy", "f1_macro"}


def test_three_models_are_one_graph(fused: Any) -> None:
    arrays = CONTEXT.valid.arrays
    graph = export_onnx(fused.packaged, take(arrays, np.arange(8)), [head.name for head in fused.heads], AXES)
    found = score(open_session(graph), arrays, AXES)["logit"]
    bases = both([fused.fits[name].scores(fused.fits[name].stage.valid) for name in ("small", "large")])
    source = ArrayBatches({"scores": bases}, {"label": CONTEXT.valid.label}, 64, draw="sequential")
    assert np.abs(found - fused.last.scores(source)["logit"]).max() < 1e-5
    assert np.ptp(found) > 0.01


@pytest.mark.parametrize(("stage", "step"), [("large-fold-2", 4), ("weigh", 5)])
def test_it_goes_on_in_the_middle_of_any_step(fused: Any, stage: str, step: int, tmp_path: Path) -> None:
    with pytest.raises(Torn):
        run(fusion(), CONTEXT, tmp_path, observers=tearing(stage, step))
    again = run(fusion(), CONTEXT, tmp_path, resume=True)
    assert same(again.packaged.state_dict(), fused.packaged.state_dict())


def test_a_tuple_of_stages_is_the_simple_case(tmp_path: Path) -> None:
    first = make_stage(CONTEXT.train, CONTEXT.valid)
    second = replace(first, name="second", init=(WarmStart("base", "trunk.*"),))
    found = run(Plan((first, second)), CONTEXT, tmp_path)
    assert same(found.packaged.state_dict(), dict(found.fits["second"].weights))
    assert found.heads == (LOGIT,)
    assert not found.packaged.training
    cold = run(Plan((replace(second, init=()),)), CONTEXT, tmp_path / "cold")
    assert not same(dict(cold.last.weights), dict(found.last.weights)), "the control: it was warm"


def test_two_steps_of_one_name_are_refused(tmp_path: Path) -> None:
    stage = make_stage(CONTEXT.train, CONTEXT.valid)
    with pytest.raises(InputError, match="two steps called 'base'"):
        run(Plan((stage, lambda fits: stage)), CONTEXT, tmp_path)


class Adapted(nn.Module):
    """A base that is drawn and frozen, and a head that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Net(32, 0.0)
        self.base.requires_grad_(requires_grad=False)
        self.adapter = nn.Linear(FEATURES, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logit": self.base(x)["logit"] + self.adapter(x)[:, 0]}


class AdaptTask(Classify):
    def build(self) -> nn.Module:
        return Adapted()


def adapters(fits: Fits) -> Files:
    return {"adapters.safetensors": save(dict(fits["base"].weights))}


def test_adapters_are_packaged_as_files_and_the_base_is_made_again(tmp_path: Path) -> None:
    stage = replace(make_stage(CONTEXT.train, CONTEXT.valid, AdaptTask(dropout=0.0)), adapters_only=True)
    found = run(Plan((stage,), adapters), CONTEXT, tmp_path)
    assert isinstance(found.packaged, dict)
    weights = load(found.packaged["adapters.safetensors"])
    assert set(weights) == {"adapter.weight", "adapter.bias"}
    before = torch.get_rng_state()
    module = found.last.module()
    assert torch.equal(torch.get_rng_state(), before), "nobody's random numbers changed"
    again = found.last.module()
    assert same(module.state_dict(), again.state_dict()), "the base is that of the seed"
    whole = run(Plan((replace(stage, adapters_only=False),)), CONTEXT, tmp_path / "whole")
    assert same(module.state_dict(), dict(whole.last.weights)), "as if all of it had been kept"
    torch.manual_seed(99)
    other = AdaptTask().build()
    put_weights(other, weights, adapters_only=True)
    assert not same(other.state_dict(), module.state_dict()), "the control: another seed draws another base"
    with pytest.raises(InputError, match="do not fit"):
        put_weights(other, weights)


class WholeTask(Classify):
    """The same names as those of AdaptTask, all of which learn."""

    def build(self) -> nn.Module:
        return Adapted().requires_grad_()


def test_a_frozen_base_that_was_fitted_before_is_put_back(tmp_path: Path) -> None:
    base = make_stage(CONTEXT.train, CONTEXT.valid, WholeTask(dropout=0.0))
    task = AdaptTask(dropout=0.0)
    adapt = replace(base, name="adapt", task=task, init=(WarmStart("base"),), adapters_only=True)
    found = run(Plan((base, adapt)), CONTEXT, tmp_path)
    assert isinstance(found.packaged, nn.Module)
    state, fitted = found.packaged.state_dict(), dict(found.fits["base"].weights)
    frozen = {name for name in state if name.startswith("base.")}
    assert frozen.isdisjoint(found.last.weights), "they are in no file of the stage"
    assert same({n: state[n] for n in frozen}, {n: fitted[n] for n in frozen})
    drawn = replace(found.last, warm={}, stage=replace(adapt, init=())).module().state_dict()
    assert not same({n: drawn[n] for n in frozen}, {n: fitted[n] for n in frozen}), (
        "the control: a drawn base"
    )


class Silent:
    """Batches of one's own that say nothing of augmentation."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Batch:
        return batches(CONTEXT.train)[index]


class Kept(Silent):
    promise = None


class Flips(Silent):
    promise = Promise(labels="kept", spans="none")


def test_batches_that_say_nothing_of_augmentation_are_not_trained_with() -> None:
    stage = make_stage(CONTEXT.train, CONTEXT.valid)
    with pytest.raises(
        InputError, match="stage 'base': its training batches do not say whether they augment"
    ):
        replace(stage, train=Silent())  # type: ignore[arg-type]
    assert replace(stage, train=Kept()).promise is None
    assert replace(stage, train=Flips()).promise == Flips.promise
    assert stage.promise is None


def test_a_part_keeps_the_numbers_of_its_rows() -> None:
    index = np.array([5, 3, 100])
    part = CONTEXT.train.take(index)
    assert part.row is not None
    assert part.row.tolist() == [5, 3, 100]
    assert part.take(np.array([2])).row.tolist() == [100]  # type: ignore[union-attr]
    assert np.array_equal(part.arrays["x"], CONTEXT.train.arrays["x"][index])
    assert batches(part, "sequential")[0].targets[ROW].tolist() == [5, 3, 100]
    assert len(CONTEXT.train) == ROWS


def test_folds_are_of_whole_clusters_and_of_the_seed() -> None:
    folds = CONTEXT.folds(4)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).tolist() == [30] * 4
    assert not np.array_equal(folds, replace(CONTEXT, seed=6).folds(4))
