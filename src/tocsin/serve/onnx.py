"""The runtime `onnx`: an ONNX model that answers each sample with a verdict."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from tocsin.core.types import Sample, Verdict
from tocsin.serve.batching import Batcher
from tocsin.serve.body import Reader
from tocsin.serve.predict import (
    MOST_EVIDENCE,
    Answer,
    Desk,
    ShortAnswer,
    predict_endpoint,
    short_endpoint,
)
from tocsin.serve.predictor import Predictor
from tocsin.serve.problems import Problem
from tocsin.serve.route import FROM_SAMPLES, Route, reference, sample_reference, samples_body
from tocsin.serve.service import Offer, Watch
from tocsin.serve.state import ServerState

PROBLEMS = (*FROM_SAMPLES, "too-many-samples", "non-finite-output")

EXPLAIN = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "how many pieces of evidence to give with each verdict, the strongest first",
    "schema": {"type": "integer", "minimum": 0, "maximum": MOST_EVIDENCE, "default": 0},
}


class OnnxService:
    """An artifact and, once its golden samples were answered again, its predictor."""

    answers: ClassVar[tuple[type[BaseModel], ...]] = (Answer, ShortAnswer)

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self._predictor: Predictor | None = None

    @property
    def is_ready(self) -> bool:
        """Tell whether the golden samples were answered as they were when the model was proved."""
        return self._predictor is not None

    @property
    def golden(self) -> int:
        """How many golden samples were answered again."""
        return self._predictor.golden if self._predictor else 0

    def load(self, watch: Watch = lambda _stage, _seconds: None) -> None:
        """Load the model and replay the golden samples; errors as `Predictor.load` says."""
        self._predictor = Predictor.load(self.offer.artifact, watch)

    def routes(self, state: ServerState) -> Iterator[Route]:
        """Yield `predict`, and its short forms where this is the only service."""
        reader = Reader(self.offer.schema.sample, state.settings.max_batch)
        desk = Desk(state, self.offer, reader, Batcher(state.lane, self._predict), self._ready)
        yield Route(
            "POST",
            f"/v1/{self.offer.address}/predict",
            predict_endpoint(desk),
            f"{self.offer.detector.summary}: one sample or a list",
            reference("Answer"),
            body=samples_body(self.offer, state.settings.max_batch),
            parameters=[EXPLAIN],
            problems=PROBLEMS,
        )
        if len(state.services) == 1:
            yield from (_short(path, desk) for path in ("/predict", "/v1/predict"))

    def card(self) -> dict[str, Any]:
        """Return the labels and how scores become decisions."""
        calibration = self.offer.artifact.manifest.calibrated
        return {
            "positive": calibration.positive,
            "negative": calibration.negative,
            "categories": calibration.categories,
            "threshold": calibration.threshold,
            "abstain_below": calibration.abstain_below,
            "thresholds": {"by": calibration.sliced_by, "values": dict(calibration.thresholds)},
        }

    def _ready(self) -> Predictor:
        if self._predictor is None:
            raise Problem("not-ready")
        return self._predictor

    def _predict(self, samples: Sequence[Sample]) -> list[Verdict]:
        return self._ready().predict(samples)


def _short(path: str, desk: Desk) -> Route:
    properties = desk.reader.schema["properties"]
    values = [properties[name] for name in desk.reader.fields]
    features = {"type": "array", "prefixItems": values, "items": False, "minItems": len(values)}
    listed = {
        "type": "object",
        "properties": {"features": features},
        "required": ["features"],
        "additionalProperties": False,
    }
    endpoint, summary = short_endpoint(desk), "One sample, or its values in the order of the fields"
    body = {"anyOf": [sample_reference(desk.offer), listed]}
    return Route("POST", path, endpoint, summary, reference("ShortAnswer"), body=body, problems=PROBLEMS)
