"""The endpoints that answer samples with verdicts."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from tocsin.core.types import Sample, Verdict
from tocsin.serve.admission import accounted
from tocsin.serve.batching import JOB_ROWS, Batcher
from tocsin.serve.body import Reader
from tocsin.serve.middleware import Exchange
from tocsin.serve.predictor import NonFiniteOutput, Predictor
from tocsin.serve.problems import Problem
from tocsin.serve.route import JSON, Endpoint
from tocsin.serve.service import Offer
from tocsin.serve.state import ServerState

MOST_EVIDENCE = 32


class Answer(BaseModel):
    """A verdict for every sample, in their order."""

    verdicts: list[Verdict]
    artifact: str = Field(description="sha256 digest of the artifact that answered")


class ShortAnswer(BaseModel):
    """A verdict in the words of older services."""

    prediction: str = Field(description="the label")
    confidence: float = Field(ge=0, le=1, description="calibrated probability of that label")
    score: float = Field(ge=0, le=1, description="calibrated probability of the positive label")
    abstain: bool = Field(description="the score lies in the band that goes to a person")
    artifact: str = Field(description="sha256 digest of the artifact that answered")


_ANSWER = TypeAdapter(Answer)


@dataclass(frozen=True)
class Desk:
    """What the endpoints of one service work with."""

    state: ServerState
    offer: Offer
    reader: Reader
    batcher: Batcher
    predictor: Callable[[], Predictor]
    """Raises Problem `not-ready` until there is one."""


def predict_endpoint(desk: Desk) -> Endpoint:
    """Make the endpoint for one sample or a list of samples."""
    digest = desk.offer.artifact.digest

    async def predict(request: Request) -> Response:
        with accounted(desk.state, desk.offer, request) as exchange:
            explain = _read_explain(request.scope["query_string"])
            samples = desk.reader.read(exchange.body)
            if explain and len(samples) > desk.state.settings.max_explained:
                raise Problem("too-many-samples")
            verdicts = await _answer(desk, samples, explain)
            _note(desk, exchange, verdicts)
        return Response(
            _ANSWER.dump_json(Answer.model_construct(verdicts=verdicts, artifact=digest)), media_type=JSON
        )

    return predict


def short_endpoint(desk: Desk) -> Endpoint:
    """Make the endpoint for one sample, or its values, that answers in the words of older services."""

    async def predict(request: Request) -> Response:
        with accounted(desk.state, desk.offer, request) as exchange:
            sample = desk.reader.read_one(exchange.body)
            verdicts = await _answer(desk, [sample], 0)
            _note(desk, exchange, verdicts)
        return Response(_shorten(verdicts[0], desk.offer).model_dump_json(), media_type=JSON)

    return predict


def _shorten(verdict: Verdict, offer: Offer) -> ShortAnswer:
    is_positive = verdict.label == offer.artifact.manifest.calibrated.positive
    return ShortAnswer(
        prediction=verdict.label,
        confidence=verdict.probability if is_positive else 1 - verdict.probability,
        score=verdict.probability,
        abstain=verdict.abstain,
        artifact=verdict.artifact,
    )


def _read_explain(query: bytes) -> int:
    """Return how much evidence is asked for: `explain=k`, at most once, and no other parameter."""
    if not query:
        return 0
    try:
        ((name, value),) = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=2)
    except ValueError:
        raise Problem("invalid-query") from None
    if (
        name != "explain"
        or not (value.isascii() and value.isdigit())
        or len(value) > 3
        or int(value) > MOST_EVIDENCE
    ):
        raise Problem("invalid-query")
    return int(value)


async def _answer(desk: Desk, samples: Sequence[Sample], explain: int) -> list[Verdict]:
    """Return the verdicts, or the Problem why there are none."""
    predict, state = desk.predictor().predict, desk.state
    try:
        async with asyncio.timeout(state.settings.inference_timeout):
            if explain:
                return await _run(state, [partial(predict, [sample], explain) for sample in samples])
            if len(samples) <= JOB_ROWS:
                return await desk.batcher.predict(samples)
            parts = [samples[i : i + JOB_ROWS] for i in range(0, len(samples), JOB_ROWS)]
            return await _run(state, [partial(predict, part) for part in parts])
    except TimeoutError:
        raise Problem("inference-timeout") from None
    except OverflowError:
        raise Problem("invalid-sample", [("", "number_too_large")]) from None
    except NonFiniteOutput:
        state.telemetry.nonfinite(desk.offer.key)
        raise Problem("non-finite-output") from None


async def _run(state: ServerState, jobs: Sequence[Callable[[], list[Verdict]]]) -> list[Verdict]:
    if len(jobs) == 1:
        return await state.lane.run(jobs[0])
    verdicts: list[Verdict] = []
    for start in range(0, len(jobs), state.lane.threads):
        parts = await asyncio.gather(*map(state.lane.run, jobs[start : start + state.lane.threads]))
        verdicts.extend(verdict for part in parts for verdict in part)
    return verdicts


def _note(desk: Desk, exchange: Exchange, verdicts: Sequence[Verdict]) -> None:
    decisions = desk.state.telemetry.verdicts(desk.offer, verdicts)
    exchange.facts |= {
        "rows": len(verdicts),
        "decisions": dict(decisions),
        "artifact": desk.offer.artifact.digest,
    }
