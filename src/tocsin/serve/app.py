"""The HTTP application: routes, problems, documents, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.serve import openapi
from tocsin.serve.lane import Lane
from tocsin.serve.logs import RequestLog
from tocsin.serve.middleware import EXCHANGE, Door, Front
from tocsin.serve.problems import problem_of
from tocsin.serve.route import JSON
from tocsin.serve.routes import routes_of
from tocsin.serve.service import Offer, services_of
from tocsin.serve.settings import Settings
from tocsin.serve.state import ServerState
from tocsin.serve.telemetry import Telemetry

PULSE_SECONDS = 1.0


def create_app(
    offers: Sequence[Offer], settings: Settings | None = None, telemetry: Telemetry | None = None
) -> Starlette:
    """Make the application that serves these artifacts; `app.state.tocsin` holds what its routes share.

    The models are loaded while it runs, and it is not ready before.
    InputError when there is no artifact, when two have the same detector and alias, or when one names a
    detector, a sample or a runtime that does not exist.
    """
    settings = settings or Settings()
    telemetry = telemetry or Telemetry()
    lane = Lane(settings.threads, settings.queue, settings.heartbeat_timeout)
    state = ServerState(settings, services_of(offers), lane, telemetry)
    app = Starlette(lifespan=_lifespan(state), exception_handlers={HTTPException: _refuse})
    app.router.redirect_slashes = False
    app.state.tocsin = state
    _add_routes(app, state)
    return app


def _add_routes(app: Starlette, state: ServerState) -> None:
    routes = list(routes_of(state))
    for route in routes:
        app.add_route(route.path, route.endpoint, methods=[route.method])
    spec = openapi.document(state, routes)
    document, page = orjson.dumps(spec), openapi.page(spec)

    async def openapi_json(_request: Request) -> Response:
        return Response(document, media_type=JSON)

    async def docs(_request: Request) -> Response:
        return HTMLResponse(
            page, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    app.add_route("/openapi.json", openapi_json)
    app.add_route("/docs", docs)
    app.add_middleware(
        Front,
        Door(
            settings=state.settings,
            telemetry=state.telemetry,
            requests=RequestLog(state.settings.request_log),
            routes=frozenset([*(route.path for route in routes), "/openapi.json", "/docs"]),
            open=frozenset(route.path for route in routes if not route.needs_token),
            state=state,
        ),
    )


def _lifespan(state: ServerState) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_load(state)), asyncio.create_task(_pulse(state))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            state.lane.close()

    return lifespan


async def _load(state: ServerState) -> None:
    for service in state.services.values():
        await asyncio.to_thread(state.load, service)


async def _pulse(state: ServerState) -> None:
    while True:
        state.telemetry.pulse(state.lane)
        await asyncio.sleep(PULSE_SECONDS)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_of(error.status_code, error.headers).response(request.scope[EXCHANGE].id)
