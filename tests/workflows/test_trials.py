"""A trial fits and validates; it never looks at the test rows, and others may watch and stop it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tocsin.core.errors import InputError
from tocsin.core.recipes import with_overrides
from tocsin.core.types import Columns
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.engine.events import EvalDone, Event, Started
from tocsin.workflows.training.audit import audit_fold
from tocsin.workflows.training.kinds.decision import prove
from tocsin.workflows.training.members import Job
from tocsin.workflows.training.prepare import Prepared, prepare, resolve_recipe
from tocsin.workflows.training.trackers import PARENT, Tracking, tracked
from tocsin.workflows.training.trials import Fitted, fit_fold
from truths import relabel
from workflows.small import SMALL, make_small


class Poison:
    """Test rows that nobody may look at: whatever asks for anything of them fails."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"somebody looked at the test rows: {name}")

    def __len__(self) -> int:
        raise AssertionError("somebody counted the test rows")

    def __array__(self, *_: object) -> np.ndarray:
        raise AssertionError("somebody took the test rows")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("trials")
    return prepare(resolve_recipe(make_small(folder), SMALL).recipe)


def job(prepared: Prepared, folder: Path, tracking: Tracking | None = None) -> Job:
    fold = prepared.folds[0]
    return Job("model", prepared.recipe, folder, 42, False, fold.fingerprint, tracking or Tracking(bar=False))


def poisoned(prepared: Prepared) -> tuple[Prepared, Fold]:
    """The test side cannot be looked at, and its rows in the dataset say the opposite of the truth."""
    fold, dataset = prepared.folds[0], prepared.dataset
    columns = {name: values.copy() for name, values in dataset.columns.items()}
    for values in columns.values():
        values[fold.test] = "poison" if values.dtype == object else 1e30
    label = dataset.label.copy()
    label[fold.test] = 1 - label[fold.test]
    spoilt: Any = Poison()
    fold = replace(fold, test=spoilt)
    return replace(prepared, dataset=with_label(dataset, columns, label), folds=(fold,), groups={}), fold


def with_label(dataset: Dataset, columns: Columns, label: np.ndarray) -> Dataset:
    return relabel(replace(dataset, columns=columns), label)


@pytest.fixture(scope="module")
def trial(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("trial")
    return fit_fold(prepared, prepared.folds[0], job(prepared, folder), lambda message: None)


def test_a_trial_brings_the_report_of_the_validation_rows(trial: Fitted) -> None:
    assert list(trial.models) == ["model"]
    assert trial.report.value == trial.report.metrics["roc_auc_over_families"]
    folder = trial.job.folder
    assert (folder / "models" / "model" / "finetune" / "best.safetensors").exists()
    assert not list(folder.rglob("*.onnx"))
    assert not list(folder.rglob("evaluation.json"))


def test_it_is_the_same_where_the_test_rows_are_poisoned(
    prepared: Prepared, trial: Fitted, tmp_path: Path
) -> None:
    spoilt, fold = poisoned(prepared)
    again = fit_fold(spoilt, fold, job(prepared, tmp_path), lambda message: None)
    assert again.report == trial.report
    ours, theirs = (found.models["model"].packaged.state_dict() for found in (again, trial))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(AssertionError, match="test rows"):  # the control: proving does look at them
        prove(again, audit_fold(prepared, prepared.folds[0]), None, lambda message: None)


def test_who_watches_may_stop_it(prepared: Prepared, tmp_path: Path) -> None:
    seen: list[Event] = []

    def prune(event: Event) -> str | None:
        seen.append(event)
        return "no hope" if isinstance(event, EvalDone) and event.step else None

    tracking = Tracking(watching=(prune,), bar=False)
    changes = {"stages.finetune.length": "400 steps", "stages.finetune.evaluate_every": "10 steps"}
    recipe = with_overrides(prepared.recipe, changes)
    found = fit_fold(
        prepared, prepared.folds[0], replace(job(prepared, tmp_path, tracking), recipe=recipe), print
    )
    assert [event.stage for event in seen if isinstance(event, Started)] == ["pretrain", "finetune"]
    steps = [event.step for event in seen if isinstance(event, EvalDone)]
    assert steps[-1] == 10 < 400
    assert found.report.metrics["loss"] > 0


def test_a_parent_run_is_handed_in(prepared: Prepared, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracking = prepared.recipe.tracking.model_copy(update={"mlflow": uri})
    recipe = prepared.recipe.model_copy(update={"tracking": tracking})
    with tracked(recipe, "search", {}) as search, tracked(recipe, "trial", {}, search.run_id) as trial:
        assert trial.run_id != search.run_id
    client = MlflowClient(tracking_uri=uri)
    assert client.get_run(str(trial.run_id)).data.tags[PARENT] == search.run_id
    assert PARENT not in client.get_run(str(search.run_id)).data.tags


def test_what_is_refused_writes_nothing(prepared: Prepared, tmp_path: Path) -> None:
    recipe = with_overrides(prepared.recipe, {"stages.finetune.length": "0 steps"})
    with pytest.raises(InputError, match="cannot be skipped"):
        fit_fold(prepared, prepared.folds[0], replace(job(prepared, tmp_path / "x"), recipe=recipe), print)
    assert not (tmp_path / "x").exists()
