"""int8 must earn its place: it is kept only where it costs next to nothing on the validation rows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tocsin.core.heads import LOGIT
from tocsin.core.recipe import DataSection, ExportSection, Recipe
from tocsin.core.types import Arrays
from tocsin.engine.task import Part
from tocsin.nn.export import export_onnx
from tocsin.nn.sessions import open_session, score
from tocsin.workflows.training.members import Job, Parts, quantise
from tocsin.workflows.training.trackers import Tracking
from truths import truths


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.out = nn.Linear(6, 64), nn.Linear(64, 1)

    def forward(self, numeric: Tensor) -> dict[str, Tensor]:
        return {"logit": self.out(torch.relu(self.hidden(numeric)))[:, 0]}


def numbers(rows: int, seed: int) -> Arrays:
    return {"numeric": np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)}


@pytest.fixture
def exported() -> bytes:
    return export_onnx(Linear(), numbers(4, 0), ["logit"])


@pytest.fixture
def parts(exported: bytes) -> Parts:
    """The labels are what the float model says, so that whatever int8 changes is a loss."""

    def part(seed: int) -> Part:
        arrays = numbers(2000, seed)
        label = (score(open_session(exported), arrays, {})["logit"] > 0).astype(np.int64)
        return Part({}, arrays, truths(label))

    encoder: Any = SimpleNamespace(axes={})
    return Parts(encoder, (), part(1), part(2))


def job(allowed: float, folder: Path) -> Job:
    recipe = Recipe[Any](
        detector="toy",
        name="toy",
        data=DataSection(sample="toy", train=("x.csv",)),
        model={},
        stages={},
        export=ExportSection(int8=True, int8_loss=allowed),
    )
    return Job("toy", recipe, folder, 0, resume=False, fingerprint="", tracking=Tracking())


def test_int8_is_kept_where_it_costs_little(exported: bytes, parts: Parts, tmp_path: Path) -> None:
    told: list[str] = []
    model, cost = quantise(exported, (LOGIT,), parts, job(0.05, tmp_path), told.append)
    assert cost.kept
    assert model != exported
    assert 0 < max(cost.roc_auc_loss, cost.f1_loss) <= 0.05
    assert "int8 is kept" in told[0]


def test_float32_is_kept_where_int8_costs_too_much(exported: bytes, parts: Parts, tmp_path: Path) -> None:
    told: list[str] = []
    model, cost = quantise(exported, (LOGIT,), parts, job(0.0, tmp_path), told.append)
    assert not cost.kept
    assert model == exported
    assert "float32 is kept" in told[0]


def test_the_loss_is_that_of_scikit_learn(exported: bytes, parts: Parts, tmp_path: Path) -> None:
    from sklearn.metrics import f1_score

    model, cost = quantise(exported, (LOGIT,), parts, job(0.05, tmp_path), lambda _: None)
    guess = score(open_session(model), parts.valid.arrays, {})["logit"] >= 0
    assert cost.f1_loss == pytest.approx(1 - f1_score(parts.valid.label, guess))
