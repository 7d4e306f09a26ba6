"""One served artifact: known when the server starts, loaded and proved a little later."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tocsin.core.errors import InputError, TocsinError
from tocsin.core.plugins import load_detector
from tocsin.core.types import Sample, Verdict
from tocsin.serve.body import Reader
from tocsin.serve.predictor import Predictor
from tocsin.serve.problems import Problem
from tocsin.serve.telemetry import Telemetry

if TYPE_CHECKING:
    from tocsin.artifact.open import Artifact

log = logging.getLogger(__name__)


class Service:
    """An artifact, how its requests are read, and, once the golden samples were replayed, its predictor."""

    def __init__(self, artifact: "Artifact", max_batch: int, telemetry: Telemetry) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.name = self.manifest.detector
        self.detector = load_detector(self.manifest.detector)
        self.schema = self.detector.schema(self.manifest.sample)
        self.reader = Reader(self.schema.sample, max_batch)
        self._telemetry = telemetry
        self._predictor: Predictor | None = None

    @property
    def is_ready(self) -> bool:
        """Tell whether the golden samples were answered as they were when the model was proved."""
        return self._predictor is not None

    @property
    def predictor(self) -> Predictor:
        """What answers; Problem `not-ready` until it is there."""
        if self._predictor is None:
            raise Problem("not-ready")
        return self._predictor

    def predict(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Return a verdict for every sample; Problem `not-ready` before the predictor is there."""
        return self.predictor.predict(samples)

    def load(self) -> None:
        """Load the model and replay the golden samples; if that fails, the log says why and it stays not ready."""
        try:
            predictor = Predictor.load(
                self.artifact, lambda stage, s: self._telemetry.stage(self.name, stage, s)
            )
        except TocsinError as error:
            log.error(
                "artifact refused: %s", error, extra={"detector": self.name, "artifact": self.artifact.digest}
            )
            return
        self._telemetry.served(self.artifact, datetime.fromisoformat(self.manifest.created_at).timestamp())
        self._predictor = predictor
        log.info("artifact ready", extra={"detector": self.name, "artifact": self.artifact.digest})

    def summary(self) -> dict[str, Any]:
        """Return the entry of this artifact in the list of models."""
        return {
            "detector": self.name,
            "name": self.manifest.name,
            "version": self.manifest.version,
            "digest": self.artifact.digest,
            "ready": self.is_ready,
        }

    def card(self) -> dict[str, Any]:
        """Return what a client needs to know about this artifact."""
        calibration = self.manifest.calibration
        return self.summary() | {
            "summary": self.detector.summary,
            "created_at": self.manifest.created_at,
            "signed_by": self.artifact.signed_by,
            "sample": self.manifest.sample,
            "schema": self.reader.schema,
            "fields": self.reader.fields,
            "positive": calibration.positive,
            "negative": calibration.negative,
            "categories": calibration.categories,
            "threshold": calibration.threshold,
            "abstain_below": calibration.abstain_below,
            "thresholds": {"by": calibration.sliced_by, "values": dict(calibration.thresholds)},
            "metrics": self.manifest.metrics,
        }


def services_of(artifacts: Sequence["Artifact"], max_batch: int, telemetry: Telemetry) -> dict[str, Service]:
    """Return detector -> service; InputError when two artifacts answer for the same detector."""
    found: dict[str, Service] = {}
    for artifact in artifacts:
        name = artifact.manifest.detector
        if name in found:
            raise InputError(f"two artifacts answer for the detector {name!r}; serve them in two processes")
        found[name] = Service(artifact, max_batch, telemetry)
    if not found:
        raise InputError("no artifact to serve")
    return found
