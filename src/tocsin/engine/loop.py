"""The training loop of every stage of every detector."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from lightning_fabric import Fabric
from torch import Tensor

from tocsin.core.durable import write_json
from tocsin.core.duration import Duration
from tocsin.core.errors import Interrupted, TocsinError, TrainingCollapsed
from tocsin.engine.checkpoint import forget_checkpoints, newest_checkpoint, write_checkpoint, write_weights
from tocsin.engine.events import Ended, EvalDone, Event, Observer, Saving, Started, StepDone, beats
from tocsin.engine.history import History, read_evaluations
from tocsin.engine.lookahead import Lookahead
from tocsin.engine.lr_finder import find_rate, make_key, read_cached, write_cached, write_curve
from tocsin.engine.optim import set_rate
from tocsin.engine.prediction import predict
from tocsin.engine.signals import Signals, listening
from tocsin.engine.state import Best, FitState, make_state
from tocsin.engine.step import MicroBatches, agree
from tocsin.engine.summary import judge
from tocsin.engine.task import Report, Stage
from tocsin.engine.weights import Weights

__all__ = ["FitOptions", "FitResult", "fit", "predict"]

log = structlog.get_logger(__name__)

CHECKPOINTS = "checkpoints"
BEST, FINAL = "best.safetensors", "final.safetensors"
COLLAPSE = "collapse_report.json"


@dataclass(frozen=True)
class FitOptions:
    """What a fit needs besides its stage."""

    seed: int = 0
    warm: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Name of an earlier stage -> its best weights."""
    resume: bool = False
    """Go on from the newest complete checkpoint in the folder, if there is one."""
    observers: Sequence[Observer] = ()
    micro_batch: int | None = None
    """Rows in one forward pass, or None for whole batches."""
    cache: Path | None = None
    """Folder of the learning-rate cache, shared by runs; None does not cache."""
    fingerprint: str = ""
    """Of the training data: part of the cache's key."""


@dataclass(frozen=True)
class FitResult:
    """What a fit brought."""

    best: Weights
    report: Report
    """Of the best evaluation."""
    best_step: int
    steps: int
    rate: float
    """Peak rate: the recipe's, or the finder's."""
    stopped: str | None
    """Why the fit ended before its length, if it did."""
    folder: Path
    """Holds best.safetensors, final.safetensors, metrics_history.csv, history.json and the checkpoints."""
    history: tuple[Mapping[str, Any], ...]


def fit(fabric: Fabric, stage: Stage, folder: Path, options: FitOptions) -> FitResult:
    """Fit one stage in its folder, from its seed or from its newest checkpoint.

    The best weights are those of the evaluation with the highest value. TrainingCollapsed if the guard
    stops the fit and no rollback is left; Interrupted after SIGTERM or SIGINT, once a checkpoint is written.
    """
    with listening() as signals:
        course = _Course(fabric, stage, folder, options, signals)
        try:
            return course.run()
        except BaseException as error:
            with suppress(OSError, TocsinError):  # the first error is the one to see
                course.tell(course.ended(str(error) or type(error).__name__))
            raise
        finally:
            course.batches.close()


class _Halt(Exception):
    """A signal arrived while validation rows were scored."""


class _Course:
    """One call of `fit`."""

    def __init__(
        self, fabric: Fabric, stage: Stage, folder: Path, options: FitOptions, signals: Signals
    ) -> None:
        self.fabric, self.stage, self.folder = fabric, stage, folder
        self.options, self.signals, self.section = options, signals, stage.section
        self.state = make_state(fabric, stage, options.seed, options.warm, options.micro_batch)
        self.total, self.epoch_steps = self.state.schedule.total, len(stage.train)
        self.batches = Lookahead(stage.train, fabric.device.type == "cuda")
        self.valid_micro = MicroBatches(options.micro_batch)
        self.observers: list[Observer] = [History(folder, self.section.log_every), *options.observers]
        self.clock = time.perf_counter()
        self.saved = -1

    def run(self) -> FitResult:
        """Train to the end of the stage, or until there is a reason to stop."""
        self._begin()
        self.state.module.train()
        try:
            while self._goes_on():
                self._step()
        except _Halt:
            self._interrupt()
        return self._finish()

    def _goes_on(self) -> bool:
        """Do what is due between two steps; tell whether there is another."""
        state = self.state
        at_end = state.step >= self.total or state.stopped is not None
        if state.evaluated != state.step and (at_end or self._is_due(self.section.evaluate_every)):
            self._evaluate()
        if state.step >= self.total or state.stopped is not None:
            return False
        if self.saved != state.step and self._is_due(self.section.checkpoint_every):
            self._save()
        if agree(self.fabric, self.signals.name is not None):
            self._interrupt()
        return True

    def _is_due(self, every: Duration) -> bool:
        return self.state.step > 0 and self.state.step % (every.steps(self.epoch_steps) or self.total) == 0

    def _begin(self) -> None:
        found = _newest(self.fabric, self.folder) if self.options.resume else None
        if found is not None:
            self._restore(found)
            self.saved = self.state.step
            log.info("resumed", stage=self.stage.name, step=self.state.step)
        else:
            self._forget()
            self.state.schedule.peak = _find_peak(self.state, self.folder, self.options)
            if self.section.rollbacks:
                self._save()
        self.tell(Started(self.stage.name, self.state.step, self.total, self.epoch_steps))

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self.state.load_state_dict(checkpoint)
        if self.fabric.is_global_zero:  # the file may be from after the checkpoint
            (self.folder / BEST).unlink(missing_ok=True)
            if self.state.best is not None:
                write_weights(self.folder / BEST, self.state.best.weights)

    def _forget(self) -> None:
        """Remove what an earlier fit in the same folder left."""
        if self.fabric.is_global_zero:
            forget_checkpoints(self.folder / CHECKPOINTS, after=-1)
            for name in (BEST, FINAL, COLLAPSE):
                (self.folder / name).unlink(missing_ok=True)

    def _step(self) -> None:
        state = self.state
        started = time.perf_counter()
        batch = self.batches[state.step]
        waited = time.perf_counter() - started
        rate, is_warm = state.schedule.rate(), state.schedule.is_warm()
        set_rate(state.stepper.optimizer, rate)
        result = state.stepper(batch)
        state.step += 1
        if not result.skipped:
            state.schedule.taken += 1
            state.loss_sum += result.loss * result.count
            state.count += result.count
            if state.average is not None:
                state.average.update_parameters(state.module)
        self._obey(StepDone(state.step, self._epoch(), rate, result, waited, is_warm))

    def _evaluate(self) -> None:
        state, task = self.state, self.stage.task
        scores, targets, loss = predict(
            self.fabric, task, state.judged, self.stage.valid, self.valid_micro, self._halt_on_signal
        )
        report = task.evaluate(scores, targets, loss)
        improved = state.best is None or beats(report.value, state.best.report.value)
        if improved:
            state.best = Best(state.step, report, state.weights())
            if self.fabric.is_global_zero:
                write_weights(self.folder / BEST, state.best.weights)
        rate, is_warm = state.schedule.rate(), state.schedule.is_warm()
        state.schedule.evaluate(report.value)
        train_loss = state.loss_sum / state.count if state.count else float("nan")
        state.evaluated, state.loss_sum, state.count = state.step, 0.0, 0.0
        now = time.perf_counter()
        seconds, self.clock = now - self.clock, now
        judged = judge(scores, targets, task.heads)
        self._obey(
            EvalDone(
                state.step, self._epoch(), rate, report, loss, train_loss, judged, improved, seconds, is_warm
            )
        )

    def _obey(self, event: StepDone | EvalDone) -> None:
        """Tell everyone, and remember a reason to stop, or roll back from a collapse."""
        reasons = [self.state.stopping(event), self.tell(event)]
        collapse = self.state.guard(event) if self.fabric.is_global_zero else None
        if agree(self.fabric, collapse is not None):
            self._roll_back(self.fabric.broadcast(collapse))
        elif agree(self.fabric, any(reasons)):
            self.state.stopped = self.fabric.broadcast(_first(reasons))

    def tell(self, event: Event) -> str | None:
        """Tell the observers, which live on the first device; return their first reason to stop."""
        if not self.fabric.is_global_zero:
            return None
        return _first([observer(event) for observer in self.observers])

    def _roll_back(self, reason: str | None) -> None:
        """Go back to before the first bad step with half the rate, or give up."""
        state = self.state
        first_bad = self.fabric.broadcast(state.guard.first_bad_step() if self.fabric.is_global_zero else 0)
        allowed = state.rollbacks < self.section.rollbacks
        good = _newest(self.fabric, self.folder, before=first_bad) if allowed else None
        action = "stopped" if good is None else f"rolled back to step {good['step']} at half the rate"
        if self.fabric.is_global_zero:
            about = {"stage": self.stage.name, "step": state.step, "rollbacks": state.rollbacks}
            write_json(self.folder / COLLAPSE, state.guard.report() | about | {"action": action})
        if good is None:
            raise TrainingCollapsed(f"{self.folder / COLLAPSE}: {reason}")
        log.warning("rollback", reason=reason, to_step=good["step"])
        done = state.rollbacks + 1
        self._restore(good)
        state.rollbacks = done
        state.schedule.rollbacks = 0.5**done
        self.fabric.barrier()
        if self.fabric.is_global_zero:
            forget_checkpoints(self.folder / CHECKPOINTS, after=state.step)
        self._save()
        self.tell(Started(self.stage.name, state.step, self.total, self.epoch_steps))

    def _halt_on_signal(self) -> None:
        # Several devices stop together, between two steps; one need not wait for the end of an evaluation.
        if self.signals.name is not None and self.fabric.world_size == 1:
            raise _Halt

    def _interrupt(self) -> None:
        self._save()
        path = self.folder / CHECKPOINTS
        raise Interrupted(
            f"stopped by {self.signals.name or 'a signal'} after step {self.state.step} of {self.total}: "
            f"a checkpoint is in {path}; run again with --resume"
        )

    def _save(self) -> None:
        self.tell(Saving(self.state.step))
        content = self.state.state_dict()
        if self.fabric.is_global_zero:
            # While a collapse is suspected, the checkpoints from before it are not given up.
            keep = None if self.state.guard.is_suspicious else self.section.keep_checkpoints
            write_checkpoint(self.folder / CHECKPOINTS, self.state.step, content, keep)
        self.saved = self.state.step
        self.fabric.barrier()

    def _finish(self) -> FitResult:
        state = self.state
        assert state.best is not None, "the last step is always evaluated"
        if self.saved != state.step or state.stopped is not None:
            self._save()
        if self.fabric.is_global_zero:
            write_weights(self.folder / FINAL, state.weights())
        self.tell(self.ended(state.stopped))
        return FitResult(
            best=state.best.weights,
            report=state.best.report,
            best_step=state.best.step,
            steps=state.step,
            rate=state.schedule.peak,
            stopped=state.stopped,
            folder=self.folder,
            history=tuple(read_evaluations(self.folder)) if self.fabric.is_global_zero else (),
        )

    def ended(self, reason: str | None) -> Ended:
        """Return the event of the end."""
        best = self.state.best
        return Ended(self.state.step, self._epoch(), None if best is None else best.report, reason)

    def _epoch(self) -> float:
        return self.state.step / self.epoch_steps


def _newest(fabric: Fabric, folder: Path, before: int | None = None) -> dict[str, Any] | None:
    """Return the newest checkpoint that the leader finds: it alone reads."""
    found = newest_checkpoint(folder / CHECKPOINTS, before) if fabric.is_global_zero else None
    return fabric.broadcast(found)


def _find_peak(state: FitState, folder: Path, options: FitOptions) -> float:
    """Return the recipe's rate or the finder's, which is kept in the cache and drawn into the folder."""
    fabric, section, cache = state.fabric, state.stage.section, options.cache
    if section.optim.learning_rate != "find":
        return section.optim.learning_rate
    key = make_key(state.stepper, section, options.seed, options.fingerprint)
    search = fabric.broadcast(read_cached(cache, key) if cache and fabric.is_global_zero else None)
    log.info("learning-rate finder", cached=search is not None)
    if search is None:
        search = find_rate(state.stepper, state.stage.train)
        if cache is not None and fabric.is_global_zero:
            write_cached(cache, key, search)
    if fabric.is_global_zero:
        write_curve(folder, search)
    log.info("learning rate found", rate=search.recommended, reason=search.reason)
    return search.recommended


def _first(reasons: Sequence[str | None]) -> str | None:
    return next((reason for reason in reasons if reason), None)
