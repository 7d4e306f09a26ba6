"""Fit one member of a comparison (the model or a variant of it), export it, and score rows with what was exported."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tocsin.artifact.manifest import Int8
from tocsin.core.durable import write_bytes
from tocsin.core.encoder import Encoder
from tocsin.core.errors import InputError
from tocsin.core.heads import Head, axes_of, decision_of, probability
from tocsin.core.recipe import Recipe
from tocsin.core.types import Arrays, Files, take
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.engine.crew import ALONE, Crew
from tocsin.engine.fits import PlanOptions
from tocsin.engine.orders import FitOrder, make_plan
from tocsin.engine.task import Part, PlanContext, Report, Stage
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
    unlabelled: Part | None = None
    cluster: np.ndarray | None = None
    """[training rows] clusters of near-duplicates and groups."""
    unseen: Callable[[], Part] | None = None
    """Encodes the test rows, once."""

    @property
    def test(self) -> Part:
        """The test rows; only who proves a run may ask for them."""
        assert self.unseen is not None, "these rows have no test"
        return self.unseen()


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
    crew: Crew = ALONE


@dataclass(frozen=True)
class Trained:
    """A fitted model that is not exported yet."""

    job: Job
    parts: Parts
    stage: Stage
    """The last one, whose model it is."""
    heads: tuple[Head, ...]
    """The outputs of the model."""
    packaged: nn.Module | Files
    """What the plan packages: a module, or files such as adapters, which no graph is made of."""
    report: Report
    """Of its best evaluation, on the validation rows."""
    seconds: float


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
    seconds: float

    @cached_property
    def test(self) -> Arrays:
        """Named outputs on the test rows; only who proves a run may ask for them."""
        return score_part(self.onnx, self.heads, self.parts.test, self.parts, self.job)

    def logit(self, outputs: Arrays) -> np.ndarray:
        """Return the logit of the positive class, [rows]."""
        return outputs[decision_of(self.heads).name]

    def probability(self, outputs: Arrays) -> np.ndarray:
        """Return the calibrated probability of the positive class, [rows]."""
        return probability(self.logit(outputs), self.temperature)


def encode_parts(prepared: Prepared, fold: Fold, recipe: Recipe[Any]) -> Parts:
    """Fit the encoder on the training rows and encode every side; the test only when it is asked for."""
    train = prepared.dataset.take(fold.train)
    encoder = prepared.detector.encoder(recipe.model, prepared.schema).fit(train.columns)
    categories = categories_of(train)

    def encoded(side: Dataset) -> Part:
        return encode_part(side, encoder, categories)

    return Parts(
        encoder,
        categories,
        encoded(train),
        encoded(prepared.dataset.take(fold.valid)),
        None if prepared.unlabelled is None else encoded(prepared.unlabelled),
        None if fold.likeness is None else fold.likeness[fold.train],
        cache(lambda: encoded(prepared.test(fold))),
    )


def order_fit(prepared: Prepared, parts: Parts, job: Job, tell: Callable[[str], None]) -> FitOrder:
    """Return the order to fit the detector's plan; InputError where the detector refuses the recipe or the rows."""
    context = PlanContext(
        job.recipe,
        prepared.schema,
        parts.encoder,
        parts.train,
        parts.valid,
        job.seed,
        parts.categories,
        parts.unlabelled,
        parts.cluster,
    )
    options = PlanOptions(
        job.folder,
        job.seed,
        job.resume,
        job.recipe.compute.micro_batch,
        job.recipe.output / ".learning-rates",
        job.fingerprint,
        tell=lambda message: tell(f"{job.name}: {message}"),
    )
    return FitOrder(context, make_plan(context), options)


def train_member(order: FitOrder, parts: Parts, job: Job) -> Trained:
    """Fit a plan in every process; nothing here looks at the test rows."""
    start = time.monotonic()
    options = replace(order.options, observers=partial(job.tracking.observers, job.name))
    try:
        result = job.crew.together(replace(order, options=options))
    finally:
        order.done()
    last, seconds = result.last, time.monotonic() - start
    return Trained(job, parts, last.stage, result.heads, result.packaged, last.report, seconds)


def fit_member(prepared: Prepared, parts: Parts, job: Job, tell: Callable[[str], None]) -> Member:
    """Fit the detector's plan and export its model."""
    return export_member(train_member(order_fit(prepared, parts, job, tell), parts, job), tell)


def export_member(trained: Trained, tell: Callable[[str], None]) -> Member:
    """Export the best weights, hold the exported model to the trained one, and score the validation rows with it."""
    start = time.monotonic()
    job, parts, model = trained.job, trained.parts, trained.packaged
    if not isinstance(model, nn.Module):
        raise InputError(f"{job.recipe.detector} packages files, and a verdict is given by a module")
    heads, axes = trained.heads, parts.encoder.axes
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
    valid = score_part(onnx, heads, parts.valid, parts, job)
    temperature = fit_temperature(parts.valid.label, valid[decision_of(heads).name]).temperature
    return Member(
        job,
        parts,
        trained.stage,
        heads,
        model,
        onnx,
        differences,
        int8,
        temperature,
        valid,
        trained.seconds + time.monotonic() - start,
    )


def score_part(onnx: bytes, heads: Sequence[Head], part: Part, parts: Parts, job: Job) -> Arrays:
    """Return the outputs of the exported model on the rows of one side."""
    session = open_session(onnx, threads=job.recipe.compute.threads or 0)
    return score(session, part.arrays, parts.encoder.axes, axes_of(heads))


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
