"""Fit one member of a comparison (the model or a variant of it), export it, and score rows with what was exported."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession
from torch import nn

from tocsin.artifact.manifest import Int8
from tocsin.core.detector import Encoder, Ragged
from tocsin.core.durable import write_bytes
from tocsin.core.recipe import Recipe
from tocsin.core.types import Arrays, take
from tocsin.data.dataset import Dataset
from tocsin.data.splits import Fold
from tocsin.engine.crew import ALONE, Crew
from tocsin.engine.fits import PlanOptions
from tocsin.engine.orders import FitOrder, make_plan
from tocsin.engine.task import Part, PlanContext, Report, Stage
from tocsin.engine.weights import put_weights
from tocsin.metrics.calibration import fit_temperature
from tocsin.metrics.classification import judge, measure
from tocsin.nn.export import export_onnx, open_session, parity, quantize, sized
from tocsin.nn.ragged import run_ragged
from tocsin.workflows.training.prepare import Prepared, categories_of, encode_part
from tocsin.workflows.training.trackers import Tracking

CHUNK, CELLS = 1024, 16_384
"""Rows of one call; rows times places where inputs are ragged."""
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
    model: nn.Module
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
        return score(
            open_session(self.onnx, threads=self.job.recipe.compute.threads or 0), self.parts.test.arrays
        )

    def probability(self, outputs: Arrays) -> np.ndarray:
        """Return the calibrated probability of the positive label, [rows]."""
        return probability(outputs["logit"], self.temperature)


def probability(logit: np.ndarray, temperature: float) -> np.ndarray:
    """Return sigmoid(logit / temperature) in float64, without overflow."""
    return np.exp(-np.logaddexp(0.0, -logit.astype(np.float64) / temperature))


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
        fits = job.crew.together(replace(order, options=options))
    finally:
        order.done()
    last = order.plan.stages[-1]
    model = last.task.build()
    put_weights(model, fits[last.name].best, last.adapters_only)
    return Trained(job, parts, last, model.eval(), fits[last.name].report, time.monotonic() - start)


def fit_member(prepared: Prepared, parts: Parts, job: Job, tell: Callable[[str], None]) -> Member:
    """Fit the detector's plan and export its model."""
    return export_member(train_member(order_fit(prepared, parts, job, tell), parts, job), tell)


def export_member(trained: Trained, tell: Callable[[str], None]) -> Member:
    """Export the best weights, hold the exported model to the trained one, and score the validation rows with it."""
    start = time.monotonic()
    job, parts, model = trained.job, trained.parts, trained.model
    example = take(parts.valid.arrays, np.arange(min(EXAMPLE, len(parts.valid))))
    outputs = list(model(**_tensors(example)))
    onnx = export_onnx(model, example, outputs, free_axes(parts.encoder))
    differences = parity(
        model,
        onnx,
        sized(take(parts.valid.arrays, np.arange(min(512, len(parts.valid))))),
        job.recipe.export.parity,
    )
    int8 = None
    if job.recipe.export.int8:
        onnx, int8 = quantise(onnx, parts, job, tell)
    write_bytes(job.folder / "model.onnx", onnx)
    session = open_session(onnx, threads=job.recipe.compute.threads or 0)
    valid = score(session, parts.valid.arrays)
    temperature = fit_temperature(parts.valid.label, valid["logit"]).temperature
    return Member(
        job,
        parts,
        trained.stage,
        model,
        onnx,
        differences,
        int8,
        temperature,
        valid,
        trained.seconds + time.monotonic() - start,
    )


def free_axes(encoder: Encoder) -> Mapping[str, Mapping[int, str]]:
    """Return array -> axis -> name of what is free in the model beside the rows."""
    return {n: {1: size} for n, size in encoder.ragged.items()} if isinstance(encoder, Ragged) else {}


def quantise(onnx: bytes, parts: Parts, job: Job, tell: Callable[[str], None]) -> tuple[bytes, Int8]:
    """Return the int8 model if it ranks and decides the validation rows nearly as well, else the model as it was."""
    drawn = np.linspace(0, len(parts.train) - 1, min(CALIBRATED, len(parts.train))).astype(int)
    small = quantize(onnx, take(parts.train.arrays, drawn))

    def quality(model: bytes) -> Mapping[str, float]:
        outputs = score(open_session(model, job.recipe.compute.threads or 0), parts.valid.arrays)
        return measure(judge(parts.valid.label, probability(outputs["logit"], 1.0), 0.5))

    before, after = quality(onnx), quality(small)
    lost = {name: before[name] - after[name] for name in ("roc_auc", "f1")}
    kept = all(loss <= job.recipe.export.int8_loss for loss in lost.values())
    tell(
        f"{job.name}: int8 costs {lost['roc_auc']:.4f} of ROC-AUC and {lost['f1']:.4f} of F1 on validation rows; "
        f"{job.recipe.export.int8_loss} is allowed: {'int8' if kept else 'float32'} is kept"
    )
    return small if kept else onnx, Int8(roc_auc_loss=lost["roc_auc"], f1_loss=lost["f1"], kept=kept)


def augmented_rows(stage: Stage) -> tuple[Arrays, np.ndarray] | None:
    """Return one epoch of (arrays, labels) as an augmenting stage trains on them, or None where it does not augment.

    For a baseline that is given the same help: else a comparison is about the augmentation, not about the models.
    """
    if getattr(stage.train, "transform", None) is None:
        return None
    batches = [stage.train[i] for i in range(len(stage.train))]
    arrays = {name: np.concatenate([b.inputs[name].numpy() for b in batches]) for name in batches[0].inputs}
    return arrays, np.concatenate([b.targets["label"].numpy() for b in batches])


def score(session: InferenceSession, arrays: Arrays) -> Arrays:
    """Run a session over rows, a bounded number at a time; returns named outputs, row axis first."""
    names = [output.name for output in session.get_outputs()]
    inputs = session.get_inputs()
    ragged = [node.name for node in inputs if len(node.shape) > 1 and not isinstance(node.shape[1], int)]
    step = CELLS if ragged else CHUNK

    def run(part: Arrays) -> Arrays:
        found = session.run(names, {node.name: part[node.name] for node in inputs})
        return dict(zip(names, found, strict=True))

    return run_ragged(run, arrays, ragged, step)


def _tensors(arrays: Arrays) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(values) for name, values in arrays.items()}
