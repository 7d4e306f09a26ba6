"""Raw files in, verdicts with their evidence out: the detector says how they are read."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import ValidationError

from tocsin.core.detector import Target
from tocsin.core.errors import InputError
from tocsin.core.plugins import resolve
from tocsin.core.types import Place, Sample, Verdict
from tocsin.serve.predictor import Predictor
from tocsin.workflows.using.scanned import Scanned
from tocsin.workflows.using.stores import Source

STDIN = "-"
CHUNK = 64
"""Targets that are held at once: a mailbox of any length takes bounded memory."""

ReadTargets = Callable[[Path | BinaryIO], Iterator[Target]]


@dataclass
class Scan:
    """One scan: what is read, with which artifact, and how it went so far."""

    source: Source
    names: list[str]
    explain: int = 0
    stdin: BinaryIO | None = None
    """What `-` reads; standard input where None."""
    targets: int = 0
    positive: int = 0
    refused: int = 0

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded artifact."""
        return self.source.predictor()

    @cached_property
    def reader(self) -> ReadTargets:
        """The detector's reader of raw targets; InputError where it has none."""
        detector = self.predictor.detector
        if detector.scan is None:
            raise InputError(f"detector {detector.name!r} reads no raw files: use `tocsin predict` on tables")
        return cast(ReadTargets, resolve(detector.scan))

    def results(self) -> Iterator[Scanned]:
        """Yield each target in its order with its verdict, or with the reason why it could not be read."""
        targets = self._read()
        while chunk := list(islice(targets, CHUNK)):
            yield from self._answer(chunk)

    def _read(self) -> Iterator[Target | Scanned]:
        read = self.reader
        for name in self.names:
            source = (self.stdin or sys.stdin.buffer) if name == STDIN else Path(name)
            try:
                yield from read(source)
            except InputError as error:
                yield Scanned(Target(Place(where=name), {}), None, str(error))

    def _answer(self, chunk: list[Target | Scanned]) -> Iterator[Scanned]:
        found = [item if isinstance(item, Scanned) else self._sample(item) for item in chunk]
        samples = [item for item in found if isinstance(item, Sample)]
        verdicts = iter(self.predictor.predict(samples, 0))
        for item, result in zip(chunk, found, strict=True):
            scanned = result if isinstance(result, Scanned) else self._explained(item, result, next(verdicts))
            self.targets += 1
            self.refused += scanned.verdict is None
            self.positive += self.is_positive(scanned)
            yield scanned

    def _sample(self, target: Target) -> Sample | Scanned:
        """Return the sample; keys that it does not have, such as what only groups rows, are left out."""
        kind = self.predictor.schema.sample
        fields = {name: value for name, value in target.fields.items() if name in kind.model_fields}
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return Scanned(target, None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    def _explained(self, target: Any, sample: Sample, verdict: Verdict) -> Scanned:
        """Evidence costs many runs of the model: it is looked for where somebody will read it."""
        scanned = Scanned(target, verdict)
        if self.explain and (self.is_positive(scanned) or verdict.abstain):
            return Scanned(target, self.predictor.predict([sample], self.explain)[0])
        return scanned

    def is_positive(self, scanned: Scanned) -> bool:
        """Tell whether a target is an alarm."""
        label = self.predictor.artifact.manifest.calibrated.positive
        return scanned.verdict is not None and scanned.verdict.label == label
