"""All routes of an application: those that every server has, and those that its services bring."""

from collections.abc import Iterator

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tocsin.serve import telemetry
from tocsin.serve.problems import Problem
from tocsin.serve.route import JSON, OBJECT, Endpoint, Route
from tocsin.serve.service import Service, card_of, summary_of
from tocsin.serve.state import ServerState


def routes_of(state: ServerState) -> Iterator[Route]:
    """Yield every route, the aliases for a single artifact among them."""
    for service in state.services.values():
        yield from service.routes(state)
        address = service.offer.address
        yield Route("GET", f"/v1/{address}", _card(service), f"The {address} artifact", OBJECT)
    yield Route("GET", "/v1/models", _models(state), "What is served", OBJECT)
    yield _health("/health/live", _live(state), "Whether this process should be kept", "not-live")
    yield _health("/health/ready", _ready(state), "Whether requests are welcome", "not-ready")
    yield Route("GET", "/metrics", _metrics(state), "Prometheus metrics", {"type": "string"}, "text/plain")
    if len(state.services) == 1:
        yield _health("/health", _ready(state), "As /health/ready", "not-ready")


def _health(path: str, endpoint: Endpoint, summary: str, problem: str) -> Route:
    answer = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    return Route("GET", path, endpoint, summary, answer, problems=(problem,), needs_token=False)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type=JSON)


def _card(service: Service) -> Endpoint:
    async def card(_request: Request) -> Response:
        return _json(card_of(service))

    return card


def _models(state: ServerState) -> Endpoint:
    async def models(_request: Request) -> Response:
        return _json({"models": [summary_of(service) for service in state.services.values()]})

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
