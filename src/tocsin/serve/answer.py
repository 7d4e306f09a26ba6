"""The endpoint that answers samples with texts, whole or as they are written."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tocsin.core.errors import InputError
from tocsin.core.language import LanguageModel, Limits
from tocsin.core.types import Sample
from tocsin.serve.admission import accounted
from tocsin.serve.body import Reader
from tocsin.serve.middleware import EXCHANGE, ClientGone, Exchange
from tocsin.serve.problems import Problem
from tocsin.serve.route import EVENTS, JSON, Endpoint
from tocsin.serve.service import Offer
from tocsin.serve.state import ServerState

T = TypeVar("T")

STREAM = b"stream=1"
"""The one query that is understood."""


class Reply(BaseModel):
    """A text that a language model wrote."""

    text: str
    tokens: int = Field(ge=0, description="tokens of the text")
    stopped: Literal["end", "length"] = Field(
        description="the model had ended, or it reached the most tokens of an answer"
    )
    artifact: str = Field(description="sha256 digest of the artifact that answered")


class Replies(BaseModel):
    """A text for every sample, in their order."""

    answers: list[Reply]
    artifact: str = Field(description="sha256 digest of the artifact that answered")


@dataclass(frozen=True)
class Desk:
    """What the endpoint of one service works with."""

    state: ServerState
    offer: Offer
    reader: Reader
    model: Callable[[], LanguageModel]
    """Raises Problem `not-ready` until there is one."""

    @property
    def limits(self) -> Limits:
        """Where an answer is cut."""
        return Limits(self.state.settings.max_tokens)


def answer_endpoint(desk: Desk) -> Endpoint:
    """Make the endpoint for one sample or a short list; with `?stream=1` it answers by events.

    The answers may take `inference_timeout` in all, streamed or not. Writing ends when the client goes away.
    """

    async def answer(request: Request) -> Response:
        if request.scope["query_string"] == STREAM:
            events = _events(desk, request)
            first = await _unless_gone(request.receive, _first(events))
            return _EventStream(first, events)
        return Response(await _unless_gone(request.receive, _whole(desk, request)), media_type=JSON)

    return answer


async def _whole(desk: Desk, request: Request) -> bytes:
    with accounted(desk.state, desk.offer, request) as exchange:
        if request.scope["query_string"]:
            raise Problem("invalid-query")
        replies: list[Reply] = []
        async for _ in _write_all(desk, exchange, replies):
            pass
    return _body(desk, replies)


async def _events(desk: Desk, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield `{"sample", "text"}` for each piece, then the event `answers`, or `problem` where it fails half-way."""
    exchange: Exchange = request.scope[EXCHANGE]
    replies: list[Reply] = []
    has_begun = False
    try:
        with accounted(desk.state, desk.offer, request):
            async with aclosing(_write_all(desk, exchange, replies)) as pieces:
                async for index, piece in pieces:
                    has_begun = True
                    yield _event(orjson.dumps({"sample": index, "text": piece}))
        yield _event(_body(desk, replies), b"answers")
    except Problem as problem:
        if not has_begun:
            raise
        yield _event(problem.body(exchange.id), b"problem")


async def _first(events: AsyncGenerator[bytes, None]) -> bytes:
    """Return the first event; a Problem that comes before it is answered as everywhere."""
    return await anext(events)


def _event(data: bytes, name: bytes = b"") -> bytes:
    """Return a server-sent event; JSON has no line ends. Source: html.spec.whatwg.org, 9.2."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


def _body(desk: Desk, replies: list[Reply]) -> bytes:
    return Replies(answers=replies, artifact=desk.offer.artifact.digest).model_dump_json().encode()


async def _write_all(
    desk: Desk, exchange: Exchange, replies: list[Reply]
) -> AsyncGenerator[tuple[int, str], None]:
    """Yield (index of a sample, piece of its answer), and add each answer to `replies` when it is whole."""
    samples, model = desk.reader.read(exchange.body), desk.model()
    deadline = asyncio.get_running_loop().time() + desk.state.settings.inference_timeout
    for index, sample in enumerate(samples):
        job = partial(write, model, sample, desk.limits)
        with _counted(desk, exchange) as written:
            async with aclosing(desk.state.lane.stream(job)) as pieces:
                while (piece := await _next(pieces, deadline)) is not None:
                    written.append(piece)
                    yield index, piece
        replies.append(_reply(desk, written))


async def _next(pieces: AsyncGenerator[str, None], deadline: float) -> str | None:
    """Return the next piece, None behind the last, or raise the Problem why there is none."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(pieces, None)
    except TimeoutError:
        raise Problem("inference-timeout") from None
    except InputError:
        raise Problem("invalid-sample") from None


def write(model: LanguageModel, sample: Sample, limits: Limits) -> Generator[str, None, None]:
    """Yield the pieces of an answer, within the limits whatever the model does."""
    yield from islice(model.stream(sample, limits), limits.tokens)


def _reply(desk: Desk, written: list[str]) -> Reply:
    return Reply(
        text="".join(written),
        tokens=len(written),
        stopped="length" if len(written) == desk.limits.tokens else "end",
        artifact=desk.offer.artifact.digest,
    )


@contextmanager
def _counted(desk: Desk, exchange: Exchange) -> Iterator[list[str]]:
    """Count and log what is written, however it ends: `broken` where nobody waits any more or it takes too long."""
    written: list[str] = []
    stopped: str = "broken"
    start = perf_counter()
    try:
        yield written
        stopped = _reply(desk, written).stopped
    finally:
        desk.state.telemetry.stage(desk.offer.key, "answer", perf_counter() - start)
        desk.state.telemetry.text(desk.offer, len(written), stopped)
        facts = exchange.facts
        facts["artifact"] = desk.offer.artifact.digest
        facts["tokens"] = facts.get("tokens", 0) + len(written)
        facts["stopped"] = [*facts.get("stopped", ()), stopped]


class _EventStream(StreamingResponse):
    """Events, the first of which is there. They are closed when the client goes away."""

    body_iterator: AsyncGenerator[bytes, None]

    def __init__(self, first: bytes, events: AsyncGenerator[bytes, None]) -> None:
        unbuffered = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type=EVENTS, headers=unbuffered)
        self._first = first

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; starlette's own way would import a library at the first request."""
        async with aclosing(self.body_iterator):
            await _unless_gone(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async for event in self.body_iterator:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; when the client goes away first, cancel the work and raise ClientGone."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
