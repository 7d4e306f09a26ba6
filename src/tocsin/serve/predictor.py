"""Samples in, verdicts out: encoder, model and decoder of one sealed artifact.

Shapes: B rows.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from tocsin.artifact.manifest import ENCODER, GOLDEN, ONNX
from tocsin.core.axes import each_row, join
from tocsin.core.detector import Detector
from tocsin.core.encoder import Asked, Calibration, Encoder
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.heads import Head, axes_of, strength, watched_of
from tocsin.core.plugins import load_detector
from tocsin.core.schema import Schema
from tocsin.core.types import Arrays, Columns, Evidence, Place, Sample, Verdict, rows, tabulate, take
from tocsin.serve.golden import Golden, read_golden, replay
from tocsin.serve.runtime import OnnxRuntime, Runtime

if TYPE_CHECKING:
    from tocsin.artifact.open import Artifact

BLOCK = 512
"""Rows that are encoded and decoded at once, so that a file of any length takes bounded memory."""

Watch = Callable[[str, float], None]
"""Told the name of a stage and the seconds that it took, for every block of rows."""


class NonFiniteOutput(CheckFailed):
    """The model answered with NaN or infinity: there is no verdict."""


def _unwatched(_stage: str, _seconds: float) -> None: ...


@dataclass(frozen=True)
class Predictor:
    """One loaded artifact. The same samples get the same verdicts alone, together and in any order."""

    artifact: "Artifact"
    detector: Detector
    schema: Schema
    encoder: Encoder
    runtime: Runtime
    watch: Watch = _unwatched

    @classmethod
    def load(cls, artifact: "Artifact", watch: Watch = _unwatched) -> Self:
        """Build the predictor and replay the golden samples.

        Errors: InputError when a part does not fit the manifest, CheckFailed when a golden output differs.
        """
        files, manifest = artifact.files, artifact.manifest
        detector = load_detector(manifest.detector)
        schema = detector.schema(manifest.sample)
        sliced_by = manifest.calibrated.sliced_by
        if manifest.runtime != "onnx":
            raise InputError(
                f"artifact {manifest.name!r} needs the runtime {manifest.runtime!r}, which is not here"
            )
        if sliced_by is not None and sliced_by not in schema.sample.model_fields:
            raise InputError(
                f"artifact {manifest.name!r} has thresholds by {sliced_by!r}, which no sample has"
            )
        encoder = detector.load_encoder(
            {name.removeprefix(ENCODER): data for name, data in files.items() if name.startswith(ENCODER)}
        )
        runtime = OnnxRuntime(files[ONNX], manifest.inputs, manifest.outputs, encoder.axes, manifest.heads)
        found = cls(artifact, detector, schema, encoder, runtime, watch)
        replay(found._golden, found.answer_rows)
        runtime.tune(encoder.encode(tabulate(found.golden_samples()[:1], schema.sample)))
        return found

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the model's outputs are."""
        return self.artifact.manifest.heads

    @cached_property
    def _golden(self) -> tuple[Golden, ...]:
        return read_golden(self.artifact.files.get(GOLDEN, b""), self.schema.sample)

    @property
    def golden(self) -> int:
        """How many golden samples were replayed."""
        return len(self._golden)

    def golden_samples(self) -> list[Sample]:
        """Return the samples that are sealed with the artifact."""
        return [golden.sample for golden in self._golden]

    def predict(self, samples: Sequence[Sample], explain: int = 0) -> list[Verdict]:
        """Return a verdict for every sample, with its `explain` strongest pieces of evidence.

        Errors: NonFiniteOutput when the model answers one of them with NaN or infinity.
        """
        if not samples:
            return []
        return list(self.predict_columns(tabulate(samples, self.schema.sample), explain))

    def predict_columns(self, columns: Columns, explain: int = 0) -> Iterator[Verdict]:
        """Yield a verdict for every row of a file, a bounded block at a time; errors as in `predict`.

        Evidence that the decoder found, such as spans, stays; where it found none, parts are hidden in turn.
        """
        for block in _blocks(columns):
            with self._timed("encode"):
                arrays = self.encoder.encode(block)
            with self._timed("infer"):
                outputs = self._run(arrays)
            with self._timed("decode"):
                verdicts = self.decode(outputs, Asked(block, arrays, self.heads))
            if explain:
                with self._timed("explain"):
                    verdicts = [
                        v if v.evidence else self._explain((block, arrays, outputs), i, v, explain)
                        for i, v in enumerate(verdicts)
                    ]
            yield from verdicts

    def outputs(self, columns: Columns) -> Arrays:
        """Return the model's named outputs [B, ...] for whole columns: what `evaluate` scores."""
        return join(
            [self._run(self.encoder.encode(block)) for block in _blocks(columns)], axes_of(self.heads)
        )

    def answer_rows(self, columns: Columns) -> Iterator[Arrays]:
        """Yield the model's named outputs for each row, [1, ...], at its own size."""
        for block in _blocks(columns):
            arrays = self.encoder.encode(block)
            yield from each_row(self._run(arrays), axes_of(self.heads), arrays)

    def _run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        for name, values in outputs.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise NonFiniteOutput(f"output {name!r} of the model is not finite")
        return outputs

    def decode(self, outputs: Arrays, asked: Asked) -> list[Verdict]:
        """Return a verdict for every row that was asked, without evidence."""
        calibration = self.artifact.manifest.calibrated
        if calibration.sliced_by is None:
            return self.detector.decode(outputs, asked, calibration, self.artifact.digest)
        found: dict[int, Verdict] = {}
        for own, rows_of in slices_of(asked.columns, calibration):
            some = Asked(take(asked.columns, rows_of), take(asked.arrays, rows_of), asked.heads)
            verdicts = self.detector.decode(take(outputs, rows_of), some, own, self.artifact.digest)
            found |= dict(zip(rows_of.tolist(), verdicts, strict=True))
        return [found[row] for row in range(len(found))]

    def falls(self, columns: Columns, arrays: Arrays, outputs: Arrays) -> list[tuple[Place, float]]:
        """Hide each part of one row in turn; return where it stands, and how much the answer falls without it."""
        parts = list(self.encoder.hide(columns, arrays))
        if not parts:
            return []
        name = watched_of(self.heads).name
        hidden = self._run(join([part for _, part in parts], self.encoder.axes))
        fall = strength(outputs[name]) - strength(hidden[name])
        return [(place, float(f)) for (place, _), f in zip(parts, fall, strict=True)]

    def _explain(
        self, block: tuple[Columns, Arrays, Arrays], row: int, verdict: Verdict, most: int
    ) -> Verdict:
        """Return the verdict with its evidence: the strongest falls and rises of the answer come first.

        block: columns, arrays and outputs of several rows.
        """
        own, asked, found = (take(part, np.array([row])) for part in block)
        falls = sorted(self.falls(own, asked, found), key=lambda fall: -abs(fall[1]))
        evidence = tuple(_evidence(own, place, weight) for place, weight in falls if weight)
        return verdict.model_copy(update={"evidence": evidence[:most]})

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.watch(stage, perf_counter() - start)


def _blocks(columns: Columns) -> Iterator[Columns]:
    count = rows(columns)
    for start in range(0, count, BLOCK):
        yield {name: values[start : start + BLOCK] for name, values in columns.items()}


def slices_of(block: Columns, calibration: Calibration) -> Iterator[tuple[Calibration, np.ndarray]]:
    """Yield (calibration with one slice's threshold, its rows): every row of a block once."""
    values = block[calibration.sliced_by or ""]
    limits = np.array([calibration.thresholds.get(v, calibration.threshold) for v in values])
    for limit in np.unique(limits):
        yield replace(calibration, threshold=float(limit)), np.flatnonzero(limits == limit)


def _evidence(columns: Columns, place: Place, weight: float) -> Evidence:
    """Say what was hidden in the one row: a field of the sample with its value, or a passage of its text."""
    value = columns[place.where][0] if place.where in columns else place.where
    if place.start is not None and place.where in columns:
        value = value[place.start : place.stop]
    kind: Literal["feature", "passage"] = "feature" if place.start is None else "passage"
    absent = value is None or value != value
    return Evidence(kind=kind, place=place, value="" if absent else str(value), weight=weight)
