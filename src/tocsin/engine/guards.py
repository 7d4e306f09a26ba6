"""The collapse guard: notices early that a fit has died, says what of, and what to try.

It looks at every step (loss, gradients per block, spread of the outputs) and at every evaluation (does it
predict a single class, uncorrelated with the labels?). Three findings in a row stop the fit. What is
legitimate early in a fit or on rare classes is no finding: an untrained head answers the same for all rows,
so predictions are looked at after the warm-up only; a detector of rare attacks predicts `normal` for every
row, so one-class predictions count only where the score does not know the truth; one row has no spread.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import structlog

from tocsin.engine.events import EvalDone, Event, StepDone
from tocsin.engine.step import StepResult
from tocsin.engine.summary import Judgement, OutputSummary

log = structlog.get_logger(__name__)

IN_A_ROW = 3
FLAT = 1e-6
"""Spread of an output, relative to its mean or to 1, below which it is constant."""
FLAT_ROWS = 256
"""Rows that must look constant, over one step or several small ones, to be one finding."""
EXPLODING = 1000.0
"""Times a block's usual gradient norm."""
LARGE_NORM = 100.0
"""A gradient norm below it never counts as exploding; taken as the usual one until that is known."""
USUAL_AFTER = 20
"""Steps after which the usual gradient norm is known."""
ONE_CLASS = 0.999
MINORITY = 0.05
"""Share of the other classes from which on one-class predictions are looked at."""
MANY_ROWS = 200
IGNORANT = 0.05
"""Correlation with the truth below which a score knows nothing, over `MANY_ROWS`."""
CONFIDENTLY_WRONG = 1.2
"""Nats above the entropy of the truth. Answering one half everywhere costs 0.7 at most."""

ADVICE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "non-finite loss": (
        "the loss became NaN or infinite: too high a rate, an overflow in fp16, or bad values in the inputs",
        (
            "lower optim.learning_rate",
            "compute.precision: '32' or bf16",
            "run the audit for NaN and infinite inputs",
        ),
    ),
    "loss-scale collapse": (
        "fp16 gradients overflow at every loss scale down to 1",
        ("compute.precision: bf16 or '32'", "lower optim.learning_rate", "look for unscaled inputs"),
    ),
    "constant predictions": (
        "the outputs no longer depend on the inputs: dead units, or a rate so high that only biases are left",
        (
            "lower optim.learning_rate",
            "longer optim.warmup",
            "look for constant features",
        ),
    ),
    "zero gradients": (
        "no gradient reaches most of the model: dead units, a detached graph, or a masked loss",
        ("lower optim.learning_rate", "check the initialisation", "check masks and frozen groups"),
    ),
    "exploding gradients": (
        "gradients grew to many times their usual size, or overflowed",
        (
            "lower optim.learning_rate",
            "optim.clip_norm: 1.0",
            "longer optim.warmup",
            "look for unscaled inputs",
        ),
    ),
    "one-class predictions": (
        "one class is predicted for every validation row and the score does not know the truth",
        (
            "lower optim.learning_rate",
            "use only one of class_weights, sampler and focal_gamma",
            "check the labels",
        ),
    ),
}
"""Cause -> (what is likely behind it, what to try)."""

Sign = Literal["good", "unclear"]
"""What is not a finding ends a row of findings or, with too few rows or terms to tell, leaves it alone."""


@dataclass(frozen=True)
class Symptom:
    """One sign of collapse."""

    step: int
    cause: str
    detail: str
    rate: float
    loss: float
    norms: Mapping[str, float]
    outputs: Mapping[str, OutputSummary | Judgement]


@dataclass
class CollapseGuard:
    """An observer that stops a fit after three findings in a row, of steps or of evaluations."""

    sizes: Mapping[str, int]
    """Top-level prefix of the parameters' names -> how many numbers in it train."""
    steps: list[Symptom] = field(default_factory=list)
    """Findings of the newest steps in a row."""
    evaluations: list[Symptom] = field(default_factory=list)
    flat_rows: int = 0
    usual: dict[str, float] = field(default_factory=dict)
    """Block -> running mean of the logarithm of its gradient norm."""
    seen: int = 0
    train_loss: float = math.inf

    @property
    def is_suspicious(self) -> bool:
        """The newest step or evaluation was a finding."""
        return bool(self.steps or self.evaluations)

    def __call__(self, event: Event) -> str | None:
        """Judge a step or an evaluation; the string names the cause and the first bad step."""
        if isinstance(event, StepDone):
            return self._follow(self.steps, self._judge_step(event))
        if isinstance(event, EvalDone):
            found = self._follow(self.evaluations, self._judge_evaluation(event))
            self.train_loss = event.train_loss
            return found
        return None

    def report(self) -> dict[str, Any]:
        """Return the content of `collapse_report.json`."""
        findings = self.evaluations if len(self.evaluations) >= IN_A_ROW else self.steps
        first = findings[0]
        why, what = ADVICE[first.cause]
        return {
            "cause": first.cause,
            "likely_cause": why,
            "what_to_try": list(what),
            "first_bad_step": first.step,
            "learning_rate": first.rate,
            "gradient_norms": dict(first.norms),
            "class_mix": {name: output.share for name, output in first.outputs.items()},
            "findings": [asdict(finding) for finding in findings],
        }

    def first_bad_step(self) -> int:
        """Return the step of the first finding in the row."""
        return min(finding.step for finding in (*self.steps, *self.evaluations))

    def _follow(self, row: list[Symptom], found: Symptom | Sign) -> str | None:
        if found == "good":
            row.clear()
        if not isinstance(found, Symptom):
            return None
        row.append(found)
        log.warning("sign of collapse", step=found.step, cause=found.cause, detail=found.detail, row=len(row))
        if len(row) < IN_A_ROW:
            return None
        return f"training collapsed: {row[0].cause} since step {row[0].step} ({row[0].detail})"

    def _judge_step(self, event: StepDone) -> Symptom | Sign:
        result = event.result
        cause, detail = next(self._step_causes(event), ("good", "")) if result.count else ("unclear", "")
        if cause in ADVICE:
            return Symptom(event.step, cause, detail, event.rate, result.loss, result.blocks, result.outputs)
        if cause == "good" and not result.skipped:
            self._learn(result)
        return "good" if cause == "good" else "unclear"

    def _step_causes(self, event: StepDone) -> Iterator[tuple[str, str]]:
        """Yield (cause, detail), the most telling first."""
        result = event.result
        if not math.isfinite(result.loss):
            yield "non-finite loss", f"loss {result.loss}"
        if result.skipped and result.scale is not None:
            if result.scale <= 1:
                yield "loss-scale collapse", f"skipped at loss scale {result.scale:g}"
            return  # a scaler that looks for its scale is no finding
        flat = self._flat_output(event)
        if flat is not None:
            yield flat
        silent = [name for name, norm in result.blocks.items() if norm == 0]
        if (
            2 * sum(self.sizes.get(name, 0) for name in silent) >= max(sum(self.sizes.values()), 1)
            or not result.blocks
        ):
            yield "zero gradients", f"no gradient in {', '.join(silent) or 'any block'}"
        loud = [name for name, norm in result.blocks.items() if self._explodes(name, norm)]
        if loud:
            yield "exploding gradients", ", ".join(f"{name}: norm {result.blocks[name]:.3g}" for name in loud)

    def _flat_output(self, event: StepDone) -> tuple[str, str] | None:
        """Return the finding if all outputs are constant, unclear if too few rows say so, None otherwise."""
        outputs = {name: output for name, output in event.result.outputs.items() if output.rows >= 2}
        if not outputs or not event.warm or not all(_is_flat(output) for output in outputs.values()):
            self.flat_rows = 0
            return None
        self.flat_rows += max(output.rows for output in outputs.values())
        if self.flat_rows < FLAT_ROWS:
            return "unclear", ""
        self.flat_rows = 0
        return "constant predictions", ", ".join(
            f"{name} = {output.mean:.3g}" for name, output in outputs.items()
        )

    def _explodes(self, block: str, norm: float) -> bool:
        usual = (
            math.exp(self.usual[block]) if self.seen >= USUAL_AFTER and block in self.usual else LARGE_NORM
        )
        return not math.isfinite(norm) or norm > max(LARGE_NORM, EXPLODING * usual)

    def _learn(self, result: StepResult) -> None:
        self.seen += 1
        weight = max(0.02, 1 / self.seen)
        for block, norm in result.blocks.items():
            if 0 < norm < math.inf:
                level = math.log(norm)
                self.usual[block] = self.usual.get(block, level) * (1 - weight) + level * weight

    def _judge_evaluation(self, event: EvalDone) -> Symptom | Sign:
        cause = self._evaluation_cause(event)
        if cause is None:
            return "good"
        return Symptom(event.step, *cause, event.rate, event.loss, {}, event.outputs)

    def _evaluation_cause(self, event: EvalDone) -> tuple[str, str] | None:
        if not math.isfinite(event.loss):
            return "non-finite loss", f"validation loss {event.loss}"
        if not event.warm or not event.outputs:
            return None
        if all(output.rows >= FLAT_ROWS and _is_flat(output) for output in event.outputs.values()):
            return "constant predictions", "all validation rows get the same scores"
        is_falling = event.train_loss < 0.99 * self.train_loss
        for name, output in event.outputs.items():
            if _is_one_class(output, is_falling):
                return "one-class predictions", f"{name}: {output.share:.1%} of the validation rows"
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return what has been learned; findings are not kept, they would be found again."""
        return {
            "usual": dict(self.usual),
            "seen": self.seen,
            "train_loss": self.train_loss,
            "flat_rows": self.flat_rows,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` returned, and start a new row of findings."""
        self.usual, self.seen = dict(state["usual"]), state["seen"]
        self.train_loss, self.flat_rows = state["train_loss"], state["flat_rows"]
        self.steps.clear()
        self.evaluations.clear()


def _is_flat(output: OutputSummary | Judgement) -> bool:
    return output.std <= FLAT * max(1.0, abs(output.mean))


def _is_one_class(output: Judgement, is_falling: bool) -> bool:
    if not output.share >= ONE_CLASS or not output.minority >= MINORITY:
        return False
    if output.excess > CONFIDENTLY_WRONG:
        return True
    return output.rows >= MANY_ROWS and abs(output.correlation) < IGNORANT and not is_falling
