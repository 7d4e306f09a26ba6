"""The collapse guard: six causes are caught and named, healthy fits are left alone."""

import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from torch import Tensor, nn

from engine.runs import Classify, cpu, make_stage, same
from tocsin.core.axes import Axes
from tocsin.core.duration import Duration
from tocsin.core.errors import TrainingCollapsed
from tocsin.core.heads import LOGIT, Head
from tocsin.core.recipe import OptimSection
from tocsin.engine.checkpoint import read_weights
from tocsin.engine.events import Event, StepDone
from tocsin.engine.guards import ADVICE, IN_A_ROW, CollapseGuard
from tocsin.engine.loop import FitOptions, fit
from tocsin.engine.step import StepResult
from tocsin.engine.summary import OutputSummary
from tocsin.engine.task import StepOutput
from tocsin.nn.losses import sum_binary_cross_entropy

BAD_FROM = 40


@dataclass
class Collapsing(Classify):
    """Healthy for `BAD_FROM` training steps, then broken in one way; `until` mends it again."""

    cause: str = ""
    done: int = 0
    until: float = math.inf

    heads: ClassVar[tuple[Head, ...]] = (LOGIT,)

    target_axes: ClassVar[Axes] = {}

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        self.done += model.training
        output = super().step(model, inputs, targets)
        if not BAD_FROM < self.done <= self.until:
            return output
        loss, logit = output.loss_sum, output.scores["logit"]
        match self.cause:
            case "non-finite loss":
                loss = loss * math.nan
            case "zero gradients":
                loss = loss * 0 + loss.detach()
            case "exploding gradients":
                loss = loss * 1e7 - (loss * 1e7 - loss).detach()
            case "constant predictions" | "one-class predictions":
                logit = logit * 0 + 0.3 if self.cause.startswith("constant") else logit + 30
                loss = sum_binary_cross_entropy(logit, targets["label"])
            case "loss-scale collapse" if logit.requires_grad:
                logit.register_hook(lambda grad: grad * 1e30)
                loss = sum_binary_cross_entropy(logit, targets["label"])
        return StepOutput(loss, {"logit": logit})


def run(tmp_path, task, seed=0, positive=0.5, epochs=12, **changes):
    fixed = {"length": Duration(epochs, "epochs"), "evaluate_every": Duration(10, "steps"), "batch_size": 64}
    stage = make_stage(task, rows=640, positive=positive, seed=seed, **(fixed | changes))
    precision = "fp16" if getattr(task, "cause", "") == "loss-scale collapse" else "32"
    return fit(cpu(precision), stage, tmp_path, FitOptions(seed=seed))


SEEDS = [
    pytest.param(range(2), id="2 seeds"),
    pytest.param(range(2, 22), id="20 seeds", marks=pytest.mark.release),
]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("cause", ADVICE)
def test_six_causes_are_caught_and_named(tmp_path, cause, seeds):
    for seed in seeds:
        with pytest.raises(TrainingCollapsed, match=cause) as error:
            run(tmp_path, Collapsing(cause=cause), seed)
        assert error.value.exit_code == 3
        report = json.loads((tmp_path / "collapse_report.json").read_text())
        assert report["cause"] == cause
        assert len(report["findings"]) == IN_A_ROW
        latest = {"one-class predictions": 70, "loss-scale collapse": 60, "constant predictions": 52}
        assert BAD_FROM < report["first_bad_step"] <= report["step"] <= latest.get(cause, BAD_FROM + 3)
        assert report["what_to_try"]
        assert report["learning_rate"] > 0
        assert report["action"] == "stopped"
        assert str(tmp_path / "collapse_report.json") in str(error.value)


@pytest.mark.parametrize(
    "seeds",
    [pytest.param(range(3), id="3 fits"), pytest.param(range(100), id="100 fits", marks=pytest.mark.release)],
)
def test_healthy_fits_on_rare_classes_are_left_alone(tmp_path, seeds):
    """From 1 in 100 to 1 in 3 positives; most of these predict one class throughout."""
    for seed in seeds:
        share = float(np.random.default_rng(seed).choice([0.01, 0.05, 0.3]))
        rate = float(np.random.default_rng(seed).choice([1e-4, 1e-3, 1e-2]))
        optim = OptimSection(learning_rate=rate, schedule="constant")
        result = run(tmp_path, Classify(), seed, share, epochs=6, optim=optim)
        assert result.stopped is None
        assert not (tmp_path / "collapse_report.json").exists()


def test_a_rollback_halves_the_rate_and_goes_on(tmp_path):
    task = Collapsing(cause="non-finite loss", until=BAD_FROM + 3)
    result = run(tmp_path, task, rollbacks=1, checkpoint_every=Duration(15, "steps"))
    report = json.loads((tmp_path / "collapse_report.json").read_text())
    assert report["action"] == "rolled back to step 30 at half the rate"
    assert result.stopped is None
    assert result.steps == 120
    rows = (tmp_path / "steps_history.csv").read_text().splitlines()
    rates = {int(r.split(",")[0]): float(r.split(",")[4]) for r in rows[1:]}
    assert sorted(rates) == list(range(1, 121)), "the steps after the checkpoint are told once"
    assert same(read_weights(tmp_path / "best.safetensors"), result.best)
    assert rates[31] == pytest.approx(rates[30] / 2, rel=0.05)


def test_no_more_rollbacks_than_allowed(tmp_path):
    with pytest.raises(TrainingCollapsed):
        run(
            tmp_path, Collapsing(cause="non-finite loss"), rollbacks=2, checkpoint_every=Duration(15, "steps")
        )
    assert json.loads((tmp_path / "collapse_report.json").read_text())["rollbacks"] == 2


def step_event(step: int, loss=0.5, norms=(1.0, 1.0), std=1.0, rows=256, **changes) -> StepDone:
    outputs = {"logit": OutputSummary(rows, 0.0, std, 0.5, 0.5)}
    blocks = dict(zip(("trunk", "head"), norms, strict=True))
    norm = math.sqrt(sum(n * n for n in norms))
    fixed = {"count": 256.0, "skipped": False, "scale": None, "seconds": 0.1}
    result = StepResult(
        loss=loss, norm_before=norm, norm_after=norm, blocks=blocks, outputs=outputs, **(fixed | changes)
    )
    return StepDone(step, step / 10, 1e-3, result, 0.0, warm=True)


def feed(guard: CollapseGuard, events: list[Event]) -> list[str | None]:
    return [guard(event) for event in events]


def make_guard() -> CollapseGuard:
    return CollapseGuard({"trunk": 900, "head": 100})


def test_three_in_a_row_and_not_two():
    bad, good = {"loss": math.inf}, {}
    steps = [bad, bad, good, bad, bad, good, bad, bad, bad]
    found = feed(make_guard(), [step_event(i, **kind) for i, kind in enumerate(steps)])
    assert [i for i, reason in enumerate(found) if reason] == [8]


@pytest.mark.parametrize(
    "harmless",
    [
        {"std": math.nan, "rows": 1},  # one row has no spread
        {"std": 0.0, "rows": 4},  # a few equal rows; far too few to tell
        {"norms": (1.0, 0.0)},  # a head without a positive row in the batch
        {"norms": (5.0, 60.0)},  # large, clipped, still learning
        {"skipped": True, "scale": 512.0, "norms": (math.inf, 1.0)},  # fp16 looks for its scale
        {"count": 0.0, "norms": (0.0, 0.0)},  # a batch without a single term
    ],
)
def test_harmless_steps_are_no_findings(harmless):
    guard = make_guard()
    feed(guard, [step_event(i) for i in range(30)])
    assert feed(guard, [step_event(30 + i, **harmless) for i in range(20)]) == [None] * 20
    assert not guard.is_suspicious


def test_few_equal_rows_add_up():
    found = feed(make_guard(), [step_event(i, std=0.0, rows=8) for i in range(200)])
    assert found.index(next(r for r in found if r)) == 3 * 256 // 8 - 1
    assert "constant" in str(next(r for r in found if r))


@pytest.mark.parametrize("block", [0, 1])
def test_the_block_that_explodes_is_named(block):
    norms = [1e-2, 1e-2]
    guard = make_guard()
    feed(guard, [step_event(i, norms=tuple(norms)) for i in range(30)])
    norms[block] = 5e4
    reason = feed(guard, [step_event(30 + i, norms=tuple(norms)) for i in range(3)])[-1]
    assert reason is not None
    assert ("trunk", "head")[block] in reason
    assert ("head", "trunk")[block] not in reason


def test_what_was_learned_survives_a_checkpoint():
    guard, other = make_guard(), make_guard()
    feed(guard, [step_event(i, norms=(1.0 + i % 7, 2.0)) for i in range(40)])
    other.load_state_dict(guard.state_dict())
    assert (other.usual, other.seen) == (guard.usual, guard.seen)
