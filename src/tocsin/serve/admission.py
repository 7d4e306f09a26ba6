"""What every request with samples passes: its media type, the queue, its counts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from starlette.requests import Request

from tocsin.serve.middleware import EXCHANGE, Exchange
from tocsin.serve.problems import Problem
from tocsin.serve.service import Offer
from tocsin.serve.state import ServerState


@contextmanager
def accounted(state: ServerState, offer: Offer, request: Request) -> Iterator[Exchange]:
    """Admit a request that holds JSON, and count it when it is refused for any reason."""
    exchange: Exchange = request.scope[EXCHANGE]
    exchange.facts |= {"detector": offer.key.detector, "alias": offer.alias}
    try:
        _check_media_type(request.scope["headers"])
        with state.lane.admit():
            yield exchange
    except Problem as problem:
        if problem.kind.name in ("overloaded", "inference-timeout"):
            state.telemetry.shed(problem.kind.name)
        elif problem.kind.status < 500:
            state.telemetry.rejected(offer.key, problem.kind.name)
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
