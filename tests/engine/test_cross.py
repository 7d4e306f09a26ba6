"""Every row is scored by a model that has seen neither it nor its like; whoever gets that wrong is found out."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from engine.fold_runs import (
    ROWS,
    SECTION,
    batches,
    cpu,
    crossed,
    give_order,
    make_context,
    make_part,
    make_stage,
    run,
)
from engine.runs import Classify, make_section, same
from tocsin.core.duration import Duration
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.recipe import OptimSection
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.batch import ROW
from tocsin.engine.cross import SEEN
from tocsin.engine.events import Event, Started, StepDone
from tocsin.engine.launch import launch
from tocsin.engine.loop import FitOptions, fit, predict
from tocsin.engine.task import CrossFit, Part, Plan, Stage, WarmStart
from truths import truths

CONTEXT = make_context()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crossed")


@pytest.fixture(scope="module")
def scores(folder: Path) -> np.ndarray:
    return run(crossed(CONTEXT), CONTEXT, folder).last.out_of_fold["logit"]


def test_each_row_has_the_score_of_the_model_that_has_not_seen_its_fold(
    scores: np.ndarray, tmp_path: Path
) -> None:
    folds = CONTEXT.folds(3)
    assert scores.shape == (ROWS,)
    for fold in range(3):
        rest, own = (
            CONTEXT.train.take(np.flatnonzero(folds == fold if held else folds != fold)) for held in (0, 1)
        )
        stage = make_stage(rest, CONTEXT.valid)
        done = fit(cpu(), stage, tmp_path / str(fold), FitOptions(seed=5, micro_batch=8))
        model = stage.task.build()
        model.load_state_dict(done.best)
        wanted = predict(cpu(), stage.task, model, batches(own, "sequential"))[0]["logit"]
        assert np.array_equal(scores[folds == fold], wanted)


def test_the_weights_are_those_of_a_fit_on_all_rows(folder: Path, scores: np.ndarray, tmp_path: Path) -> None:
    again = run(crossed(CONTEXT), CONTEXT, folder, resume=True)
    whole = run(Plan((make_stage(CONTEXT.train, CONTEXT.valid),)), CONTEXT, tmp_path)
    assert same(dict(again.last.weights), dict(whole.last.weights))
    assert np.array_equal(again.last.out_of_fold["logit"], scores)
    with pytest.raises(InputError, match="was not cross-fitted"):
        _ = whole.last.out_of_fold


def test_copies_in_two_folds_are_a_leak_and_in_one_they_are_none(tmp_path: Path) -> None:
    """Labels by chance, each row twice: only who has seen the copy knows the label."""
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(60, 6)).astype(np.float32), rng.integers(0, 2, 60)
    part = Part(
        {"x": np.repeat(x[:, 0], 2).astype(float)},
        {"x": np.repeat(x, 2, axis=0)},
        truths(np.repeat(label, 2)),
        row=np.arange(120),
    )
    once = Duration(60, "epochs")
    section = make_section(
        length=once,
        evaluate_every=once,
        checkpoint_every=once,
        batch_size=30,
        optim=OptimSection(learning_rate=1e-2),
    )

    def make(train: Part, valid: Part) -> Stage:
        return replace(make_stage(train, valid, Classify(64, 0.0)), section=section)

    def auc(cluster: np.ndarray, name: str) -> float:
        context = make_context(part, cluster)
        found = run(crossed(context, make, 4), context, tmp_path / name).last.out_of_fold["logit"]
        return float(roc_auc_score(part.label, found))

    assert auc(np.arange(120), "rows") > 0.8
    assert 0.3 < auc(np.arange(120) // 2, "clusters") < 0.7


def lying(train: Part, valid: Part) -> Stage:
    """Train on all rows, whatever it is given."""
    return make_stage(CONTEXT.train, valid)


def borrowing(train: Part, valid: Part) -> Stage:
    """Train on one row too many."""
    missing = np.setdiff1d(np.arange(ROWS), train.row)[:1]
    return make_stage(CONTEXT.train.take(np.concatenate([train.row, missing])), valid)  # type: ignore[list-item]


def renumbering(train: Part, valid: Part) -> Stage:
    """Count the rows that it is given from 0."""
    return make_stage(replace(train, row=np.arange(len(train))), valid)


def uncounted(train: Part, valid: Part) -> Stage:
    return make_stage(replace(train, row=None), valid)


def scoring_all(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid if len(valid) == 60 else CONTEXT.train)


def scoring_twice(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid if len(valid) == 60 else valid.take(np.repeat(np.arange(len(valid)), 2)))


def scoring_some(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid if len(valid) == 60 else valid.take(np.arange(len(valid) - 1)))


def scoring_uncounted(train: Part, valid: Part) -> Stage:
    return make_stage(train, valid if len(valid) == 60 else replace(valid, row=None))


def warm(train: Part, valid: Part) -> Stage:
    return replace(make_stage(train, valid), init=(WarmStart("first"),))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lying, CheckFailed, "a training batch held row .* which this fit is to score"),
        (borrowing, CheckFailed, "a training batch held row .* which this fit is to score"),
        (renumbering, CheckFailed, "a training batch held row"),
        (uncounted, InputError, "do not say which rows they hold"),
        (scoring_all, CheckFailed, "which is not in its fold"),
        (scoring_twice, CheckFailed, "scores a row twice"),
        (scoring_some, CheckFailed, "of its fold is not scored"),
        (scoring_uncounted, InputError, "do not say which rows they hold"),
        (warm, InputError, "starts from its seed: the weights of 'first'"),
    ],
)
def test_whoever_gets_it_wrong_is_found_out(
    make: Any, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        run(crossed(CONTEXT, make), CONTEXT, tmp_path)


def test_a_row_whose_cluster_is_to_be_scored_is_as_bad_as_the_row(tmp_path: Path) -> None:
    """Folds by rows cut through the pairs, and are refused; a batch with the twin of a held row is, too."""
    plan = Plan((CrossFit("base", make_stage, np.arange(ROWS) % 3),))
    with pytest.raises(InputError, match="the cluster of training row 0 is in two folds"):
        run(plan, CONTEXT, tmp_path)
    with pytest.raises(InputError, match="folds must give each of 120"):
        run(Plan((CrossFit("base", make_stage, np.zeros(ROWS)),)), CONTEXT, tmp_path)


def test_rows_without_a_label_may_stay_without_a_score(tmp_path: Path) -> None:
    label = CONTEXT.train.label.copy()
    label[:10] = -1
    train = Part(CONTEXT.train.columns, CONTEXT.train.arrays, truths(label), row=np.arange(ROWS))
    context = make_context(train)
    found = run(crossed(context), context, tmp_path).last.out_of_fold["logit"]
    assert np.isnan(found[:10]).all()
    assert np.isfinite(found[10:]).all()


class Torn(Exception):
    """The process ends here."""


def tearing(stage: str, step: int) -> Any:
    """Observers that end the process after a step of one fit."""
    now = [""]

    def tear(event: Event) -> None:
        now[0] = event.stage if isinstance(event, Started) else now[0]
        if isinstance(event, StepDone) and (now[0], event.step) == (stage, step):
            raise Torn

    return lambda name, folder, log_every: [tear]


@pytest.mark.parametrize(("stage", "step"), [("base-fold-1", 5), ("base-fold-0", 2), ("base", 7)])
def test_it_goes_on_in_the_middle_of_any_fold(
    stage: str, step: int, scores: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(Torn):
        run(crossed(CONTEXT), CONTEXT, tmp_path, observers=tearing(stage, step))
    seen: list[tuple[str, int]] = []

    def watch(name: str, folder: Path, log_every: int) -> Any:
        return [lambda event: seen.append((name, event.step)) if isinstance(event, Started) else None]

    again = run(crossed(CONTEXT), CONTEXT, tmp_path, resume=True, observers=watch)
    assert np.array_equal(again.last.out_of_fold["logit"], scores)
    assert dict(seen)[stage] == step // 3 * 3, "from its newest checkpoint"


def test_what_was_seen_before_is_not_forgotten(tmp_path: Path) -> None:
    with pytest.raises(Torn):
        run(crossed(CONTEXT), CONTEXT, tmp_path, observers=tearing("base-fold-1", 5))
    other = Plan((CrossFit("base", make_stage, (CONTEXT.folds(3) + 1) % 3),))
    with pytest.raises(CheckFailed, match="base-fold-0: a training batch held row"):
        run(other, CONTEXT, tmp_path, resume=True)
    (tmp_path / "base-fold-1" / SEEN).unlink()
    with pytest.raises(InputError, match="does not say which rows base-fold-1 has seen"):
        run(crossed(CONTEXT), CONTEXT, tmp_path, resume=True)


def test_two_processes_score_as_one(scores: np.ndarray, tmp_path: Path) -> None:
    found = launch(partial(give_order, str(tmp_path)), lambda: 2, lambda message: None)["logit"]
    assert np.abs(found - scores).max() < 1e-5
    assert np.ptp(scores) > 0.1


def test_rows_go_through_batches_as_any_target() -> None:
    source: ArrayBatches = batches(make_part(50, 3))
    for index in range(len(source)):
        batch = source[index]
        assert np.array_equal(batch.inputs["x"].numpy(), source.inputs["x"][batch.targets[ROW].numpy()])
    assert SECTION.batch_size == 16
