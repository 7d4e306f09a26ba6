"""Fit one member of a comparison (the model or a variant of it), export it, and score rows with what was exported."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tocsin.artifact.manifest import Int8
from tocsin.core.durable import write_bytes
from tocsin.core.encoder import Encoder
from tocsin.core.heads import Head, axes_of, decision_of, probability
from tocsin.core.plugins import resolve
from tocsin.core.recipe import Recipe
from tocsin.core.types import Arrays, take
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.engine.hardware import make_fabric
from tocsin.engine.loop import FitOptions, fit
from tocsin.engine.task import Part, Plan, PlanContext, Stage
from tocsin.metrics.calibration import fit_temperature
from tocsin.metrics.classification import judge, measure
from tocsin.nn.export import export_onnx, parity, quantize, sized
from tocsin.nn.sessions import open_session, score
from tocsin.workflows.training.prepare import Prepared, categories_of, encode_part
from tocsin.workflows.training.trackers import Tracking

EXAMPLE = 8
CALIBRATED = 512


@dataclass(frozen=True)
class Parts:
    """The encoded sides of a fold."""

    encoder: Encoder
    categories: tuple[str, ...]
    train: Part
    valid: Part
    test: Part
    unlabelled: Part | None


@dataclass(frozen=True)
class Job:
    """One member to fit: where, from which seed, and whether to go on from a checkpoint."""

    name: str
    recipe: Recipe[Any]
    folder: Path
    seed: int
    resume: bool
    fingerprint: str
    """Of the rows and their split."""
    tracking: Tracking


@dataclass(frozen=True)
class Member:
    """A fitted, exported and calibrated model."""

    job: Job
    parts: Parts
    stage: Stage
    """The last one, whose model it is."""
    heads: tuple[Head, ...]
    """The outputs of the model."""
    model: nn.Module | None
    """None where it did not come from PyTorch."""
    onnx: bytes
    parity: Mapping[str, float]
    int8: Int8 | None
    temperature: float
    valid: Arrays
    """Named outputs on the validation rows."""
    test: Arrays
    seconds: float

    def logit(self, outputs: Arrays) -> np.ndarray:
        """Return the logit of the positive class, [rows]."""
        return outputs[decision_of(self.heads).name]

    def probability(self, outputs: Arrays) -> np.ndarray:
        """Return the calibrated probability of the positive class, [rows]."""
        return probability(self.logit(outputs), self.temperature)


def encode_parts(prepared: Prepared, fold: Fold, recipe: Recipe[Any]) -> Parts:
    """Fit the encoder on the training rows and encode every side."""
    train = prepared.dataset.take(fold.train)
    encoder = prepared.detector.encoder(recipe.model, prepared.schema).fit(train.columns)
    categories = categories_of(train)

    def encoded(side: Dataset) -> Part:
        return encode_part(side, encoder, categories)

    unlabelled = None if prepared.unlabelled is None else encoded(prepared.unlabelled)
    valid = encoded(prepared.dataset.take(fold.valid))
    return Parts(encoder, categories, encoded(train), valid, encoded(prepared.test(fold)), unlabelled)


def fit_member(prepared: Prepared, parts: Parts, job: Job, tell: Callable[[str], None]) -> Member:
    """Run the detector's plan, export the last stage's best weights, and score validation and test rows."""
    start = time.monotonic()
    context = PlanContext(
        job.recipe,
        prepared.schema,
        parts.encoder,
        parts.train,
        parts.valid,
        job.seed,
        parts.categories,
        parts.unlabelled,
    )
    plan: Plan = resolve(prepared.detector.plan)(context)  # type: ignore[operator]
    model = _fit_stages(plan, job, tell)
    heads, axes = plan.heads, parts.encoder.axes
    example = take(parts.valid.arrays, np.arange(min(EXAMPLE, len(parts.valid))))
    onnx = export_onnx(model, example, [head.name for head in heads], axes)
    differences = parity(
        model,
        onnx,
        sized(take(parts.valid.arrays, np.arange(min(512, len(parts.valid)))), axes),
        job.recipe.export.parity,
        heads,
    )
    int8 = None
    if job.recipe.export.int8:
        onnx, int8 = quantise(onnx, heads, parts, job, tell)
    write_bytes(job.folder / "model.onnx", onnx)
    valid, test = score_parts(onnx, heads, parts, job)
    temperature = fit_temperature(parts.valid.label, valid[decision_of(heads).name]).temperature
    return Member(
        job,
        parts,
        plan.stages[-1],
        heads,
        model,
        onnx,
        differences,
        int8,
        temperature,
        valid,
        test,
        time.monotonic() - start,
    )


def score_parts(onnx: bytes, heads: Sequence[Head], parts: Parts, job: Job) -> tuple[Arrays, Arrays]:
    """Return the outputs of the exported model on validation and test rows."""
    session = open_session(onnx, threads=job.recipe.compute.threads or 0)
    how = (parts.encoder.axes, axes_of(heads))
    return score(session, parts.valid.arrays, *how), score(session, parts.test.arrays, *how)


def quantise(
    onnx: bytes, heads: Sequence[Head], parts: Parts, job: Job, tell: Callable[[str], None]
) -> tuple[bytes, Int8]:
    """Return the int8 model if it ranks and decides the validation rows nearly as well, else the model as it was."""
    drawn = np.linspace(0, len(parts.train) - 1, min(CALIBRATED, len(parts.train))).astype(int)
    small = quantize(onnx, take(parts.train.arrays, drawn))

    def quality(model: bytes) -> Mapping[str, float]:
        session = open_session(model, job.recipe.compute.threads or 0)
        outputs = score(session, parts.valid.arrays, parts.encoder.axes)
        return measure(judge(parts.valid.label, probability(outputs[decision_of(heads).name]), 0.5))

    before, after = quality(onnx), quality(small)
    lost = {name: before[name] - after[name] for name in ("roc_auc", "f1")}
    kept = all(loss <= job.recipe.export.int8_loss for loss in lost.values())
    tell(
        f"{job.name}: int8 costs {lost['roc_auc']:.4f} of ROC-AUC and {lost['f1']:.4f} of F1 on validation rows; "
        f"{job.recipe.export.int8_loss} is allowed: {'int8' if kept else 'float32'} is kept"
    )
    return small if kept else onnx, Int8(roc_auc_loss=lost["roc_auc"], f1_loss=lost["f1"], kept=kept)


def _fit_stages(plan: Plan, job: Job, tell: Callable[[str], None]) -> nn.Module:
    fabric = make_fabric(job.recipe.compute)
    warm: dict[str, Any] = {}
    for stage in plan.stages:
        folder = job.folder / stage.name
        tell(f"{job.name}: {stage.name}, {stage.section.length}, {len(stage.train):,} steps an epoch")
        options = FitOptions(
            seed=job.seed,
            warm=warm,
            resume=job.resume,
            observers=job.tracking.observers(job.name, stage.name, folder, stage.section.log_every),
            micro_batch=job.recipe.compute.micro_batch,
            cache=job.recipe.output / ".learning-rates",
            fingerprint=job.fingerprint,
        )
        result = fit(fabric, stage, folder, options)
        warm[stage.name] = result.best
    model = plan.stages[-1].task.build()
    model.load_state_dict(warm[plan.stages[-1].name])
    return model.eval()
