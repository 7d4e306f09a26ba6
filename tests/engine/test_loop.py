"""Fits: best and final weights, early stopping, warm starts, averaged weights, frozen bases, predictions."""

import json

import numpy as np
import pytest
import structlog
import torch
from torch import nn

from engine.runs import Classify, Net, cpu, make_rows, make_stage, same
from tocsin.core.duration import Duration
from tocsin.core.errors import InputError
from tocsin.core.recipe import GroupSection, OptimSection
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.checkpoint import newest_checkpoint, read_weights
from tocsin.engine.events import Ended, EvalDone, Event, Started, StepDone
from tocsin.engine.lookahead import Lookahead
from tocsin.engine.loop import FitOptions, fit, predict
from tocsin.engine.step import MicroBatches
from tocsin.engine.task import Report, WarmStart


class Scripted(Classify):
    """Evaluations with values chosen by the test."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = iter(values)

    def evaluate(self, scores, targets, loss):
        return Report(next(self.values), {})


def test_it_learns(tmp_path):
    result = fit(cpu(), make_stage(rows=400, length=Duration(9, "epochs")), tmp_path, FitOptions(seed=1))
    assert result.report.metrics["accuracy"] > 0.75
    assert result.steps == 9 * 13
    assert [row["epoch"] for row in result.history] == list(range(1, 10))
    assert json.loads((tmp_path / "history.json").read_text()) == list(result.history)


def test_one_seed_gives_one_model_and_another_another(tmp_path):
    results = [
        fit(cpu(), make_stage(), tmp_path / str(i), FitOptions(seed=s)) for i, s in enumerate((1, 1, 2))
    ]
    assert same(results[0].best, results[1].best)
    assert not same(results[0].best, results[2].best)


def test_best_and_final_are_kept_apart(tmp_path):
    stage = make_stage(Scripted(0.1, 0.9, 0.9, 0.3), length=Duration(4, "epochs"))
    result = fit(cpu(), stage, tmp_path, FitOptions())
    assert (result.best_step, result.report.value, result.steps) == (14, 0.9, 28)
    best, final = read_weights(tmp_path / "best.safetensors"), read_weights(tmp_path / "final.safetensors")
    assert same(best, result.best)
    assert not same(best, final)
    assert same(final, newest_checkpoint(tmp_path / "checkpoints")["model"])
    assert [row["improved"] for row in result.history] == [1, 1, 0, 0]


def test_patience_ends_a_fit_and_a_nan_is_no_progress(tmp_path):
    stage = make_stage(
        Scripted(float("nan"), 0.5, 0.4, float("nan"), 0.6), length=Duration(9, "epochs"), patience=2
    )
    result = fit(cpu(), stage, tmp_path, FitOptions())
    assert result.stopped == "no progress in 2 evaluations"
    assert (result.report.value, result.best_step, result.steps) == (0.5, 14, 28)
    again = fit(cpu(), stage, tmp_path, FitOptions(resume=True))
    assert (again.stopped, again.steps) == (result.stopped, 28)


def test_observers_see_everything_and_may_stop(tmp_path):
    seen: list[Event] = []

    def observe(event: Event) -> str | None:
        seen.append(event)
        return "that will do" if isinstance(event, StepDone) and event.step == 10 else None

    result = fit(cpu(), make_stage(), tmp_path, FitOptions(observers=[observe]))
    assert (result.stopped, result.steps) == ("that will do", 10)
    assert [event.step for event in seen if isinstance(event, StepDone)] == list(range(1, 11))
    assert [event.step for event in seen if isinstance(event, EvalDone)] == [7, 10], "a stop is evaluated"
    assert seen[0] == Started("train", 0, 21, 7)
    assert seen[-1] == Ended(10, 10 / 7, result.report, "that will do")


def test_an_error_ends_the_observers_too(tmp_path):
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fit(cpu(), make_stage(), tmp_path, FitOptions(observers=[observe]))
    assert seen[-1] == Ended(3, 3 / 7, None, "no")


def test_a_warm_start_copies_what_it_includes(tmp_path):
    donor = {k: torch.full_like(v, 0.01) for k, v in Net().state_dict().items()}
    stage = make_stage(length=Duration(1, "steps"), optim=OptimSection(learning_rate=1e-6))

    def start(*init: WarmStart):
        from dataclasses import replace

        options = FitOptions(seed=1, warm={"pretrain": donor})
        return fit(cpu(), replace(stage, init=init), tmp_path, options).best

    cold, warm = start(), start(WarmStart("pretrain", "trunk.*"))
    assert torch.allclose(warm["trunk.0.weight"], torch.tensor(0.01), atol=1e-4)
    assert torch.allclose(warm["head.weight"], cold["head.weight"], atol=1e-4)
    with pytest.raises(InputError, match=r"'body\.\*' matches no weights"):
        start(WarmStart("pretrain", "body.*"))
    with pytest.raises(InputError, match="no weights of stage 'pretrian'; did you mean 'pretrain'"):
        start(WarmStart("pretrian"))
    donor["head.weight"] = torch.zeros(2, 16)
    with pytest.raises(InputError, match=r"head.weight: shape \(2, 16\) does not fit \(1, 16\)"):
        start(WarmStart("pretrain"))


def test_the_average_is_what_is_evaluated_and_kept(tmp_path):
    plain = fit(cpu(), make_stage(), tmp_path / "a", FitOptions(seed=1))
    averaged = fit(cpu(), make_stage(ema=0.5), tmp_path / "b", FitOptions(seed=1))
    state = newest_checkpoint(tmp_path / "b" / "checkpoints")
    assert same(state["model"], newest_checkpoint(tmp_path / "a" / "checkpoints")["model"]), "it only watches"
    assert not same(averaged.best, plain.best)
    stage = make_stage()
    model = Net()
    model.load_state_dict(averaged.best)
    _, _, loss = predict(cpu(), stage.task, model, stage.valid)
    assert loss == pytest.approx(averaged.history[-1]["val_loss"])


class Adapter(Classify):
    """A large base that is frozen, and a small head that trains."""

    def build(self) -> nn.Module:
        model = super().build()
        model.trunk.requires_grad_(False)
        return model


def test_frozen_parameters_may_be_left_out(tmp_path):
    from dataclasses import replace

    stage = replace(make_stage(Adapter(), checkpoint_every=Duration(5, "steps")), adapters_only=True)
    result = fit(cpu(), stage, tmp_path, FitOptions(seed=1))
    assert set(result.best) == {"head.weight", "head.bias"}
    for path in list((tmp_path / "checkpoints").glob("*21.ckpt")):
        path.unlink()
    again = fit(cpu(), stage, tmp_path, FitOptions(seed=1, resume=True))
    assert same(again.best, result.best)


def test_a_rate_of_zero_freezes(tmp_path):
    optim = OptimSection(learning_rate=1e-2, groups={"trunk.*": GroupSection(learning_rate_scale=0)})
    first = fit(
        cpu(), make_stage(optim=optim, length=Duration(1, "steps")), tmp_path / "a", FitOptions(seed=1)
    )
    last = fit(cpu(), make_stage(optim=optim), tmp_path / "b", FitOptions(seed=1))
    for name, moved in (("trunk.0.weight", False), ("head.weight", True)):
        assert torch.equal(first.best[name], last.best[name]) is not moved


def test_the_finder_runs_once_and_is_cached_for_reruns(tmp_path):
    stage = make_stage(optim=OptimSection(learning_rate="find"))
    results, hits = [], []
    for i in range(6):
        with structlog.testing.capture_logs() as logs:
            options = FitOptions(seed=4, cache=tmp_path / "cache", fingerprint="f")
            results.append(fit(cpu(), stage, tmp_path / str(i), options))
        hits += [entry["cached"] for entry in logs if entry["event"] == "learning-rate finder"]
        assert (tmp_path / str(i) / "lr_curve.png").stat().st_size > 1000
    assert hits == [False, True, True, True, True, True]
    assert all(same(results[0].best, result.best) for result in results), (
        "found or cached, the fit is the same"
    )
    assert results[0].rate == results[1].rate > 0


def test_predictions_keep_the_order_of_the_rows():
    stage = make_stage(rows=50)
    inputs, targets = make_rows(50, 3)
    source = ArrayBatches(inputs, targets, 8, draw="sequential")
    model = Net().train()
    scores, found, loss = predict(cpu(), stage.task, model, source, MicroBatches(3))
    assert np.array_equal(found["label"], targets["label"])
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(inputs["x"]))["logit"]
    np.testing.assert_allclose(scores["logit"], expected.numpy(), atol=1e-6)
    expected_loss = nn.functional.binary_cross_entropy_with_logits(
        expected, torch.from_numpy(targets["label"]).float()
    )
    assert loss == pytest.approx(float(expected_loss), rel=1e-5)


def test_predictions_fit_into_memory_and_leave_the_mode_alone():
    stage = make_stage(Classify(largest=4))
    model = Net().train()
    scores, _, _ = predict(cpu(), stage.task, model, stage.valid)
    assert len(scores["logit"]) == 200
    assert model.training
    assert max(stage.task.tried[-20:]) == 4
    before = torch.get_rng_state()
    predict(cpu(), make_stage().task, model, stage.valid)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_ignores_autocast(tmp_path):
    """Validation scores are those of the exported model, whatever the precision of training."""
    stage = make_stage()
    result = fit(cpu("bf16"), stage, tmp_path, FitOptions(seed=1))
    model = Net()
    model.load_state_dict(result.best)
    _, _, loss = predict(cpu("32"), stage.task, model, stage.valid)
    assert loss == pytest.approx(min(row["val_loss"] for row in result.history), rel=1e-6)


def test_batches_made_ahead_are_the_same():
    source = make_stage().train
    ahead = Lookahead(source, True)
    for index in (0, 1, 2, 7, 8, 3, 4):
        assert torch.equal(ahead[index].inputs["x"], source[index].inputs["x"])
    ahead.close()
