"""Cross-fitting: every training row is scored by a model that has seen neither it nor its like.

Nothing is taken on trust. The batches say which rows they hold, and each row that is handed out to a fit is held
against those that it will score.

Shapes: N training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.core.durable import write_bytes
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.promise import Promise
from tocsin.core.types import Arrays
from tocsin.engine.batch import ROW, Batch, BatchSource
from tocsin.engine.checkpoint import list_checkpoints
from tocsin.engine.events import Event, Saving
from tocsin.engine.fits import Finished, Running
from tocsin.engine.loop import CHECKPOINTS
from tocsin.engine.task import CrossFit, Part, Stage

SEEN = "rows_seen.bin"
"""Beside the checkpoints of a fold: a bit for each training row, set if a batch held it."""


@dataclass
class Witness:
    """Training batches under watch: CheckFailed when one holds a row that its fit may not see.

    It also observes the fit, to keep what was seen beside each checkpoint.
    """

    source: BatchSource
    name: str
    unseen: np.ndarray
    """[N] bool: the rows that are to be scored, and those of their clusters."""
    folder: Path
    seen: np.ndarray = field(init=False)
    """[N] bool."""

    def __post_init__(self) -> None:
        self.seen = np.zeros(len(self.unseen), dtype=bool)

    @property
    def promise(self) -> Promise | None:
        """What the watched batches promise."""
        return self.source.promise

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Batch:
        batch = self.source[index]
        rows = rows_of(batch.targets.get(ROW), self.name)
        if len(rows) != len(batch) or rows.min(initial=0) < 0 or rows.max(initial=0) >= len(self.seen):
            raise CheckFailed(
                f"{self.name}: a batch of {len(batch)} rows gives no number to some, or a wrong one"
            )
        self.seen[rows] = True
        self.check()
        return batch

    def check(self) -> None:
        """Raise CheckFailed if a row was handed out that may not be seen."""
        wrong = np.flatnonzero(self.seen & self.unseen)
        if len(wrong):
            raise CheckFailed(
                f"{self.name}: a training batch held row {wrong[0]}, which this fit is to score, or one of its cluster"
            )

    def recall(self) -> None:
        """Take up what was seen before the newest checkpoint; InputError where it is not known."""
        if not list_checkpoints(self.folder / CHECKPOINTS):
            return
        path = self.folder / SEEN
        content = path.read_bytes() if path.exists() else b""
        if len(content) != len(np.packbits(self.seen)):
            raise InputError(f"{path} does not say which rows {self.name} has seen: run without --resume")
        self.seen = np.unpackbits(np.frombuffer(content, np.uint8), count=len(self.seen)).astype(bool)
        self.check()

    def __call__(self, event: Event) -> None:
        """Write what was seen before a checkpoint is written."""
        if isinstance(event, Saving):
            write_bytes(self.folder / SEEN, np.packbits(self.seen).tobytes())


def rows_of(target: Any, name: str) -> np.ndarray:
    """Return the numbers of a batch's rows; InputError where it has none."""
    if target is None:
        raise InputError(
            f"{name}: its batches do not say which rows they hold: give them the target {ROW!r}, `part.row`"
        )
    return np.asarray(target)


def cross_fit(running: Running, step: CrossFit) -> Finished:
    """Fit each fold and score its rows, then fit on all training rows; returns the last fit with all scores.

    CheckFailed when a batch holds what its fit may not see, or when scores and rows do not match. What is watched is
    what trains: a task that was told of the rows in another way is not found out.
    """
    context = running.context
    cluster = _clusters(step, context.cluster, len(context.train))
    scores: dict[str, np.ndarray] = {}
    for fold in np.unique(step.folds):
        held = step.folds == fold
        found, rows = _fit_fold(
            running, step, f"{step.name}-fold-{fold}", held, np.isin(cluster, cluster[held])
        )
        _enter(scores, found, rows, len(held))
    whole = _make(step, context.train, context.valid, step.name)
    return replace(running.fit(whole), crossed=scores)


def _clusters(step: CrossFit, cluster: np.ndarray | None, rows: int) -> np.ndarray:
    """Return the cluster of each row; InputError for folds that do not fit the rows, or cut through a cluster."""
    found = np.arange(rows) if cluster is None else cluster
    if step.folds.shape != (rows,) or len(np.unique(step.folds)) < 2:
        raise InputError(
            f"{step.name}: folds must give each of {rows} training rows one of two folds or more"
        )
    pairs = np.unique(np.stack([found, step.folds]), axis=1)[0]
    cut = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(cut):
        row = int(np.flatnonzero(found == cut[0])[0])
        raise InputError(
            f"{step.name}: the cluster of training row {row} is in two folds: use `context.folds`, which keeps it whole"
        )
    return found


def _make(step: CrossFit, train: Part, valid: Part, name: str) -> Stage:
    stage = replace(step.make(train, valid), name=name)
    if stage.init:
        raise InputError(
            f"{name}: a cross-fitted stage starts from its seed: the weights of {stage.init[0].stage!r} may have seen"
            " the rows that it is to score"
        )
    return stage


def _fit_fold(
    running: Running, step: CrossFit, name: str, held: np.ndarray, unseen: np.ndarray
) -> tuple[Arrays, np.ndarray]:
    """Return the scores of a fold's rows by a fit on the others, and the numbers of those rows."""
    context, folder = running.context, running.folder(name)
    rest = context.train.take(np.flatnonzero(~held))
    stage = _make(step, rest, context.valid, name)
    witness = Witness(stage.train, name, unseen, folder)
    leads = running.fabric.is_global_zero
    if running.options.resume and leads:
        witness.recall()
    finished = running.fit(replace(stage, train=witness), [witness])
    if leads and not witness.seen.any():
        raise CheckFailed(f"{name}: it was fitted, and no batch was seen")
    own = context.train.take(np.flatnonzero(held))
    scores, targets = finished.predict(_make(step, rest, own, name).valid)
    rows = rows_of(targets.get(ROW), name)
    _check_scored(rows, np.flatnonzero(held & (context.train.label >= 0)), held, name)
    return scores, rows


def _check_scored(rows: np.ndarray, wanted: np.ndarray, held: np.ndarray, name: str) -> None:
    """Raise CheckFailed unless those of the fold are scored, each once; what has no label may be left out."""
    if not held[rows].all():
        raise CheckFailed(f"{name}: it scores row {rows[~held[rows]][0]}, which is not in its fold")
    if len(np.unique(rows)) < len(rows):
        raise CheckFailed(f"{name}: it scores a row twice")
    missing = np.setdiff1d(wanted, rows)
    if len(missing):
        raise CheckFailed(f"{name}: row {missing[0]} of its fold is not scored")


def _enter(
    into: dict[str, np.ndarray], scores: Mapping[str, np.ndarray], rows: np.ndarray, total: int
) -> None:
    """Put a fold's scores where their rows stand; InputError for an output whose size differs from fold to fold."""
    for name, values in scores.items():
        if values.dtype.kind != "f":
            continue
        whole = into.setdefault(name, np.full((total, *values.shape[1:]), np.nan, dtype=values.dtype))
        if whole.shape[1:] != values.shape[1:]:
            raise InputError(f"output {name!r} has {values.shape[1:]} and {whole.shape[1:]} in two folds")
        whole[rows] = values
