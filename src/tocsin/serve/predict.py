"""The endpoints that answer samples with verdicts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from urllib.parse import parse_qsl

from pydantic import BaseModel, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from tocsin.core.types import Sample, Verdict
from tocsin.serve.batching import JOB_ROWS
from tocsin.serve.middleware import EXCHANGE, Exchange
from tocsin.serve.predictor import NonFiniteOutput
from tocsin.serve.problems import Problem
from tocsin.serve.service import Service
from tocsin.serve.state import ServerState

JSON = "application/json"
MOST_EVIDENCE = 32

Endpoint = Callable[[Request], Awaitable[Response]]


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


def predict_endpoint(state: ServerState, service: Service) -> Endpoint:
    """Make the endpoint for one sample or a list of samples."""
    digest = service.artifact.digest

    async def predict(request: Request) -> Response:
        with _accounted(state, service, request) as exchange:
            explain = _read_explain(request.scope["query_string"])
            samples = service.reader.read(exchange.body)
            if explain and len(samples) > state.settings.max_explained:
                raise Problem("too-many-samples")
            verdicts = await _answer(state, service, samples, explain)
            _note(state, service, exchange, verdicts)
        return Response(
            _ANSWER.dump_json(Answer.model_construct(verdicts=verdicts, artifact=digest)), media_type=JSON
        )

    return predict


def short_endpoint(state: ServerState, service: Service) -> Endpoint:
    """Make the endpoint for one sample, or its values, that answers in the words of older services."""

    async def predict(request: Request) -> Response:
        with _accounted(state, service, request) as exchange:
            sample = service.reader.read_one(exchange.body)
            verdicts = await _answer(state, service, [sample], 0)
            _note(state, service, exchange, verdicts)
        return Response(_shorten(verdicts[0], service).model_dump_json(), media_type=JSON)

    return predict


def _shorten(verdict: Verdict, service: Service) -> ShortAnswer:
    is_positive = verdict.label == service.manifest.calibration.positive
    return ShortAnswer(
        prediction=verdict.label,
        confidence=verdict.probability if is_positive else 1 - verdict.probability,
        score=verdict.probability,
        abstain=verdict.abstain,
        artifact=verdict.artifact,
    )


@contextmanager
def _accounted(state: ServerState, service: Service, request: Request) -> Iterator[Exchange]:
    """Admit a request that holds JSON, and count it when it is refused for any reason."""
    exchange: Exchange = request.scope[EXCHANGE]
    exchange.facts["detector"] = service.name
    try:
        _check_media_type(request.scope["headers"])
        with state.lane.admit():
            yield exchange
    except Problem as problem:
        if problem.kind.name in ("overloaded", "inference-timeout"):
            state.telemetry.shed(problem.kind.name)
        elif problem.kind.status < 500:
            state.telemetry.rejected(service.name, problem.kind.name)
        raise


def _check_media_type(headers: Iterable[tuple[bytes, bytes]]) -> None:
    media_type, encoding = b"", b"identity"
    for name, value in headers:
        if name == b"content-type":
            media_type = value
        elif name == b"content-encoding":
            encoding = value
    essence, _, parameters = media_type.lower().partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    if (
        essence.strip() != b"application/json"
        or charset not in (b"", b"charset=utf-8")
        or encoding.lower() != b"identity"
    ):
        raise Problem("unsupported-media-type")


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


async def _answer(
    state: ServerState, service: Service, samples: Sequence[Sample], explain: int
) -> list[Verdict]:
    """Return the verdicts, or the Problem why there are none."""
    predict, batcher = service.predictor.predict, state.batchers[service.name]
    try:
        async with asyncio.timeout(state.settings.inference_timeout):
            if explain:
                return await _run(state, [partial(predict, [sample], explain) for sample in samples])
            if len(samples) <= JOB_ROWS:
                return await batcher.predict(samples)
            parts = [samples[i : i + JOB_ROWS] for i in range(0, len(samples), JOB_ROWS)]
            return await _run(state, [partial(predict, part) for part in parts])
    except TimeoutError:
        raise Problem("inference-timeout") from None
    except OverflowError:
        raise Problem("invalid-sample", [("", "number_too_large")]) from None
    except NonFiniteOutput:
        state.telemetry.nonfinite(service.name)
        raise Problem("non-finite-output") from None


async def _run(state: ServerState, jobs: Sequence[Callable[[], list[Verdict]]]) -> list[Verdict]:
    if len(jobs) == 1:
        return await state.lane.run(jobs[0])
    verdicts: list[Verdict] = []
    for start in range(0, len(jobs), state.lane.threads):
        parts = await asyncio.gather(*map(state.lane.run, jobs[start : start + state.lane.threads]))
        verdicts.extend(verdict for part in parts for verdict in part)
    return verdicts


def _note(state: ServerState, service: Service, exchange: Exchange, verdicts: Sequence[Verdict]) -> None:
    decisions = state.telemetry.verdicts(service.name, service.manifest.version, verdicts)
    exchange.facts |= {
        "rows": len(verdicts),
        "decisions": dict(decisions),
        "artifact": service.artifact.digest,
    }
