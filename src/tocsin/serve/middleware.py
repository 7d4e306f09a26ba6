"""What happens to every request: an id, a token, a bounded body, one log line, one count, never a stack.

The body is read here and not limited by Starlette's `max_body_size`: ADR 0028.
"""

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from time import perf_counter
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.core.logs import place_of
from tocsin.serve.logs import RequestLog
from tocsin.serve.problems import Problem
from tocsin.serve.settings import Settings
from tocsin.serve.telemetry import METHODS, Telemetry

log = logging.getLogger(__name__)

EXCHANGE = "tocsin.exchange"
"""Key of the scope under which routes find the exchange."""

DISCARDED = 8
"""So many times the largest body is read and thrown away before a 413: an honest client gets to read it."""


@dataclass
class Exchange:
    """What is known about one request; routes add what they learn, for the log."""

    started: float
    id: str = field(default_factory=lambda: token_hex(8))
    status: int = 0
    body: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)


class ClientGone(Exception):
    """The client hung up before its request was complete."""


@dataclass(frozen=True)
class Door:
    """What the middleware needs of the application."""

    settings: Settings
    telemetry: Telemetry
    requests: RequestLog
    routes: frozenset[str]
    """Paths that are served: the only ones that become labels."""
    open: frozenset[str]
    """Paths that ask for no token."""
    state: Any
    """Its `draining` is true when connections must not be kept."""


class Front:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door
        self._tokens = [token.get_secret_value().encode() for token in door.settings.tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = scope[EXCHANGE] = Exchange(perf_counter())
        answer = self._answer(exchange, send)
        try:
            await self._enter(scope, exchange, receive, answer)
        except ClientGone:
            exchange.status = 499
        except Exception as error:  # noqa: BLE001 - nothing may pass: what does would be answered with a stack
            await self._fail(error, exchange, scope, answer)
        finally:
            self._record(scope, exchange)

    async def _enter(self, scope: Scope, exchange: Exchange, receive: Receive, answer: Send) -> None:
        headers = {name: value for name, value in scope["headers"] if name in _READ}
        settings = self.door.settings
        self._check_token(scope["path"], headers)
        try:
            async with asyncio.timeout(settings.body_timeout):
                exchange.body = await _read(
                    receive, headers.get(b"content-length", b"0"), settings.max_body_bytes
                )
        except TimeoutError:
            raise Problem("request-timeout") from None
        await self.app(scope, _once(exchange.body, receive), answer)

    def _check_token(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Refuse before the body is read; uvicorn throws a small one away, and what may be more is cut off."""
        if not self._tokens or path in self.door.open:
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        # Every token is compared, and in constant time.
        matches = [hmac.compare_digest(token, given.strip()) for token in self._tokens]
        if scheme.lower() != b"bearer" or not any(matches):
            keeps = _announces_little(headers, self.door.settings.max_body_bytes)
            raise Problem("unauthorized", headers={} if keeps else {"connection": "close"})

    def _answer(self, exchange: Exchange, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["x-request-id"] = exchange.id
                headers["x-content-type-options"] = "nosniff"
                if self.door.state.draining:
                    headers["connection"] = "close"
            await send(message)

        return answer

    async def _fail(self, error: Exception, exchange: Exchange, scope: Scope, answer: Send) -> None:
        problem = error if isinstance(error, Problem) else Problem("internal-error")
        if problem is not error:
            log.error("unexpected error", extra={"request_id": exchange.id, **place_of(error)})
        if exchange.status:
            raise error  # the head is sent: all that can be done is to break the connection off
        await problem.response(exchange.id)(scope, _nothing, answer)

    def _record(self, scope: Scope, exchange: Exchange) -> None:
        seconds = perf_counter() - exchange.started
        route = scope["path"] if scope["path"] in self.door.routes else "unmatched"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.door.telemetry.request(route, method, exchange.status, seconds)
        self.door.requests.write(
            {
                "timestamp": datetime.now(UTC),
                "request_id": exchange.id,
                "method": method,
                "route": route,
                "status": exchange.status,
                "input_bytes": len(exchange.body),
                "latency_s": round(seconds, 6),
                **exchange.facts,
            }
        )


_READ = frozenset({b"content-length", b"transfer-encoding", b"authorization"})


def _announces_little(headers: Mapping[bytes, bytes], limit: int) -> bool:
    """Tell whether a body is announced to be so short that it may be thrown away."""
    length = headers.get(b"content-length", b"0")
    is_short = length.isdigit() and len(length) <= 18 and int(length) <= DISCARDED * limit
    return is_short and b"transfer-encoding" not in headers


async def _read(receive: Receive, announced: bytes, limit: int) -> bytes:
    """Return the whole body; Problem `body-too-large` whether its length was announced or not."""
    if not announced.isdigit():
        raise Problem("bad-request", headers={"connection": "close"})
    if not _announces_little({b"content-length": announced}, limit):
        raise Problem("body-too-large")
    body, size, more = bytearray(), 0, True
    while more and size <= DISCARDED * limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= limit:
            body += part
    if size > limit:
        raise Problem("body-too-large")
    return bytes(body)


def _once(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then what the server has to say."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Message:
        message: Message | None = next(messages, None)
        return await receive() if message is None else message

    return again


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
