"""All routes of an application, with what the OpenAPI document says about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tocsin.serve import telemetry
from tocsin.serve.predict import JSON, MOST_EVIDENCE, Endpoint, predict_endpoint, short_endpoint
from tocsin.serve.problems import Problem
from tocsin.serve.service import Service
from tocsin.serve.state import ServerState

ANYWHERE = ("bad-request", "unauthorized", "request-timeout", "body-too-large", "internal-error")
"""Problems that the middleware answers any request with."""

FROM_PREDICT = (
    *("malformed-json", "duplicate-key", "unsupported-media-type", "invalid-sample", "invalid-query"),
    *("too-many-samples", "non-finite-output", "not-ready", "overloaded", "inference-timeout"),
)

EXPLAIN = {
    "name": "explain",
    "in": "query",
    "required": False,
    "description": "how many pieces of evidence to give with each verdict, the strongest first",
    "schema": {"type": "integer", "minimum": 0, "maximum": MOST_EVIDENCE, "default": 0},
}


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answer: Mapping[str, Any]
    """JSON schema of a 200."""
    media_type: str = JSON
    body: Mapping[str, Any] | None = None
    """JSON schema of the request, or None where there is none."""
    parameters: Sequence[Mapping[str, Any]] = ()
    problems: tuple[str, ...] = ()
    needs_token: bool = True


def routes_of(state: ServerState) -> Iterator[Route]:
    """Yield every route, the aliases for a single artifact among them."""
    for service in state.services.values():
        yield _predict(state, service)
        yield Route("GET", f"/v1/{service.name}", _card(service), f"The {service.name} artifact", _OBJECT)
    yield Route("GET", "/v1/models", _models(state), "What is served", _OBJECT)
    yield _health("/health/live", _live(state), "Whether this process should be kept", "not-live")
    yield _health("/health/ready", _ready(state), "Whether requests are welcome", "not-ready")
    yield Route("GET", "/metrics", _metrics(state), "Prometheus metrics", {"type": "string"}, "text/plain")
    if len(state.services) == 1:
        service = next(iter(state.services.values()))
        yield _health("/health", _ready(state), "As /health/ready", "not-ready")
        for path in ("/predict", "/v1/predict"):
            yield _short(path, state, service)


_OBJECT = {"type": "object"}


def reference(name: str) -> dict[str, str]:
    """Return a JSON reference to a schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def sample_reference(service: Service) -> dict[str, str]:
    """Return a JSON reference to the sample of a detector."""
    return reference(f"{service.name}.{service.schema.sample.__name__}")


def _predict(state: ServerState, service: Service) -> Route:
    one = sample_reference(service)
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": state.settings.max_batch}
    return Route(
        "POST",
        f"/v1/{service.name}/predict",
        predict_endpoint(state, service),
        f"{service.detector.summary}: one sample or a list",
        reference("Answer"),
        body={"anyOf": [one, many]},
        parameters=[EXPLAIN],
        problems=FROM_PREDICT,
    )


def _short(path: str, state: ServerState, service: Service) -> Route:
    properties = service.reader.schema["properties"]
    values = [properties[name] for name in service.reader.fields]
    features = {"type": "array", "prefixItems": values, "items": False, "minItems": len(values)}
    listed = {
        "type": "object",
        "properties": {"features": features},
        "required": ["features"],
        "additionalProperties": False,
    }
    endpoint, summary = short_endpoint(state, service), "One sample, or its values in the order of the fields"
    body = {"anyOf": [sample_reference(service), listed]}
    return Route("POST", path, endpoint, summary, reference("ShortAnswer"), body=body, problems=FROM_PREDICT)


def _health(path: str, endpoint: Endpoint, summary: str, problem: str) -> Route:
    answer = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    return Route("GET", path, endpoint, summary, answer, problems=(problem,), needs_token=False)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type=JSON)


def _card(service: Service) -> Endpoint:
    async def card(_request: Request) -> Response:
        return _json(service.card())

    return card


def _models(state: ServerState) -> Endpoint:
    async def models(_request: Request) -> Response:
        return _json({"models": [service.summary() for service in state.services.values()]})

    return models


def _live(state: ServerState) -> Endpoint:
    async def live(_request: Request) -> Response:
        if state.lane.is_stuck():
            raise Problem("not-live")
        return _json({"status": "live"})

    return live


def _ready(state: ServerState) -> Endpoint:
    async def ready(_request: Request) -> Response:
        if not state.is_ready:
            raise Problem("not-ready")
        return _json({"status": "ready"})

    return ready


def _metrics(state: ServerState) -> Endpoint:
    async def metrics(_request: Request) -> Response:
        state.telemetry.pulse(state.lane)
        return Response(state.telemetry.render(), media_type=telemetry.MEDIA_TYPE)

    return metrics
