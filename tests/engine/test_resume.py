"""A fit that died and went on is the same, to the bit, as one that nothing happened to."""

import errno
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import ClassVar

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric.plugins.precision import MixedPrecision

from engine.runs import Classify, cpu, history_without_times, make_stage, same
from engine.worker import SETTINGS, STEPS, arm, context, fit_here, run
from tocsin.core.axes import Axes
from tocsin.core.duration import Duration
from tocsin.core.errors import InputError, TocsinError
from tocsin.core.heads import LOGIT, Head
from tocsin.core.recipe import OptimSection
from tocsin.engine.checkpoint import newest_checkpoint, read_weights
from tocsin.engine.events import Event, StepDone
from tocsin.engine.loop import FitOptions, FitResult, fit


class Crash(BaseException):
    """Stands for a power cut."""


def crash_at(step: int):
    def observe(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == step:
            raise Crash

    return observe


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> FitResult:
    return fit_here(tmp_path_factory.mktemp("undisturbed"))


def assert_same(folder: Path, reference: FitResult) -> None:
    """Weights, optimizer, generators, history: everything but wall times."""
    for name in ("best.safetensors", "final.safetensors"):
        assert (folder / name).read_bytes() == (reference.folder / name).read_bytes(), name
    assert history_without_times(folder) == history_without_times(reference.folder)
    ours, theirs = (
        newest_checkpoint(folder / "checkpoints"),
        newest_checkpoint(reference.folder / "checkpoints"),
    )
    assert ours is not None
    assert theirs is not None
    assert str(ours) == str(theirs)
    assert same(ours["model"], theirs["model"])


@settings(max_examples=5)
@given(st.lists(st.integers(1, STEPS), min_size=1, max_size=3))
def test_stopping_anywhere_changes_nothing(tmp_path_factory, undisturbed, stops):
    folder = tmp_path_factory.mktemp("stopped")
    for step in stops:
        try:
            fit_here(folder, resume=True, observers=[crash_at(step)])
        except Crash:
            continue
    fit_here(folder, resume=True)
    assert_same(folder, undisturbed)


def test_the_comparison_sees_a_difference(tmp_path, undisturbed):
    with pytest.raises(Crash):
        fit_here(tmp_path, observers=[crash_at(10)])
    state = newest_checkpoint(tmp_path / "checkpoints")
    assert state["step"] == 9
    # Lose only the generators: dropout goes another way.
    from tocsin.engine import state as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "restore_generators", lambda state: None)
        fit_here(tmp_path, resume=True)
    with pytest.raises(AssertionError):
        assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_resumes_with_its_loss_scale(tmp_path, monkeypatch, precision):
    """fp16: the scale has moved by step 9, so a resumed run that forgot it would skip other steps."""

    def start(folder, **options):
        fabric = cpu(precision)
        if precision == "fp16":
            fabric.strategy.precision.scaler.set_growth_interval(2)
        stage = make_stage(Classify(), **SETTINGS)
        return fit(fabric, stage, folder, FitOptions(seed=1, **options))

    reference = start(tmp_path / "a")
    with pytest.raises(Crash):
        start(tmp_path / "b", observers=[crash_at(11)])
    saved = newest_checkpoint(tmp_path / "b" / "checkpoints")["precision"]
    assert bool(saved) == (precision == "fp16")
    if saved:
        assert saved["scale"] != 65536.0
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    start(tmp_path / "b", resume=True)
    assert_same(tmp_path / "b", reference)
    if saved:  # the control: the scale is forgotten, as `fabric.save` does
        monkeypatch.setattr(MixedPrecision, "load_state_dict", lambda self, state: None)
        start(tmp_path / "c", resume=True)
        with pytest.raises(AssertionError):
            assert_same(tmp_path / "c", reference)


def kill_moments() -> list:
    """Random steps, and calls of a checkpoint: before a sync, in a half-written file, before a rename."""
    rng = random.Random(20261120)
    drawn = [("step", rng.randint(1, STEPS - 1))]
    drawn += [(where, rng.randint(2, 20)) for where in ("fsync", "half", "replace")]
    more = [(where, rng.randint(1, 25)) for where in ("step", "fsync", "half", "replace") for _ in range(6)]
    return [*drawn, *(pytest.param(m, marks=pytest.mark.release) for m in more)]


def run_apart(folder: Path, resume: bool, moment: tuple[str, int] | None) -> int | None:
    process = context().Process(target=run, args=(str(folder), resume, moment))
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("moment", kill_moments(), ids=str)
def test_killed_and_resumed(tmp_path, undisturbed, moment):
    assert run_apart(tmp_path, False, moment) == -signal.SIGKILL
    assert not (tmp_path / "final.safetensors").exists()
    assert run_apart(tmp_path, True, None) == 0
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize(
    "again", [("replace", 2), *(pytest.param(("fsync", n), marks=pytest.mark.release) for n in range(1, 9))]
)
def test_killed_while_it_resumes(tmp_path, undisturbed, again):
    assert run_apart(tmp_path, False, ("step", 17)) == -signal.SIGKILL
    assert run_apart(tmp_path, True, again) == -signal.SIGKILL
    assert run_apart(tmp_path, True, None) == 0
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_a_checkpoint_and_code_4(tmp_path, undisturbed, number):
    process = context().Process(target=run, args=(str(tmp_path), False, None, 0.05))
    process.start()
    deadline = time.monotonic() + 120
    while not (tmp_path / "going").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    sent = time.monotonic()
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 4
    assert time.monotonic() - sent < 10
    message = (tmp_path / "message").read_text()
    step = newest_checkpoint(tmp_path / "checkpoints")["step"]
    assert 0 < step < STEPS
    assert f"stopped by {signal.Signals(number).name} after step {step} of {STEPS}" in message
    fit_here(tmp_path, resume=True)
    assert_same(tmp_path, undisturbed)


def test_a_signal_in_an_evaluation_does_not_wait_for_its_end(tmp_path, undisturbed):
    class Signalled(Classify):
        heads: ClassVar[tuple[Head, ...]] = (LOGIT,)
        target_axes: ClassVar[Axes] = {}

        def step(self, model, inputs, targets):
            if not model.training and len(self.tried) > 20:
                self.tried.clear()
                os.kill(os.getpid(), signal.SIGTERM)
            return super().step(model, inputs, targets)

    from tocsin.core.errors import Interrupted

    before = signal.getsignal(signal.SIGTERM)
    stage = make_stage(Signalled(), **SETTINGS)
    with pytest.raises(Interrupted, match="run again with --resume") as error:
        fit(cpu(), stage, tmp_path, FitOptions(seed=11, micro_batch=20))
    assert error.value.exit_code == 4
    assert signal.getsignal(signal.SIGTERM) is before
    state = newest_checkpoint(tmp_path / "checkpoints")
    assert state["evaluated"] < state["step"]
    fit_here(tmp_path, resume=True)
    assert_same(tmp_path, undisturbed)


def test_a_full_disk_ends_the_fit_and_it_goes_on_later(tmp_path, undisturbed, monkeypatch):
    real, count = os.fsync, [0]

    def fsync(handle):
        count[0] += 1
        if count[0] > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(TocsinError, match="cannot be written: No space left"):
            fit_here(tmp_path)
    assert newest_checkpoint(tmp_path / "checkpoints")["step"] > 0
    fit_here(tmp_path, resume=True)
    assert_same(tmp_path, undisturbed)


def test_a_damaged_newest_checkpoint_falls_back(tmp_path, undisturbed):
    with pytest.raises(Crash):
        fit_here(tmp_path, observers=[crash_at(14)])
    newest = max((tmp_path / "checkpoints").glob("step-*.ckpt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    with structlog.testing.capture_logs() as logs:
        fit_here(tmp_path, resume=True)
    assert "checkpoint skipped" in [entry["event"] for entry in logs]
    assert [entry["step"] for entry in logs if entry["event"] == "resumed"] == [9]
    assert_same(tmp_path, undisturbed)


def test_a_finished_fit_resumes_to_its_result(tmp_path, undisturbed):
    first = fit_here(tmp_path)
    seen: list[Event] = []
    again = fit_here(tmp_path, resume=True, observers=[seen.append])
    assert not [event for event in seen if isinstance(event, StepDone)]
    assert same(again.best, first.best)
    assert (again.report, again.history, again.best_step) == (first.report, first.history, first.best_step)
    assert_same(tmp_path, undisturbed)


def test_without_resume_a_fit_starts_over(tmp_path, undisturbed):
    with pytest.raises(Crash):
        fit_here(tmp_path, observers=[crash_at(20)], batch_size=16)
    fit_here(tmp_path)
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"batch_size": 16}, "batch_size"),
        ({"optim": OptimSection(learning_rate=0.1)}, "optim"),
        ({"ema": None}, "ema"),
    ],
)
def test_a_changed_recipe_cannot_go_on(tmp_path, changes, name):
    with pytest.raises(Crash):
        fit_here(tmp_path, observers=[crash_at(10)])
    with pytest.raises(InputError, match=rf"cannot go on: {name} was .*, is "):
        fit_here(tmp_path, resume=True, **changes)
    fit_here(tmp_path, resume=True, log_every=2, keep_checkpoints=5)


def test_weights_on_disk_are_the_result(undisturbed):
    assert same(read_weights(undisturbed.folder / "best.safetensors"), undisturbed.best)
    assert undisturbed.steps == STEPS
    assert make_stage(Classify(), **SETTINGS).section.length == Duration(4, "epochs")


def test_the_worker_can_be_armed():
    assert len(arm(("step", 3))) == 1
