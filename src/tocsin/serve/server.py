"""Start the server, and end it without losing what it accepted."""

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType

import uvicorn

from tocsin.core.errors import InputError
from tocsin.core.logs import configure
from tocsin.serve.app import create_app
from tocsin.serve.connection import patient
from tocsin.serve.service import Offer
from tocsin.serve.settings import Settings
from tocsin.serve.state import ServerState
from tocsin.serve.telemetry import Telemetry, retire_process, share_between_processes
from tocsin.serve.workers import supervise

log = logging.getLogger(__name__)

BACKLOG = 2048
SETTLE_SECONDS = 1.0
"""At most so long, after the last connection was accepted, those that say nothing are kept: a request may be on
its way, and its answer says that the connection is closed."""


def run(offers: Sequence[Offer], settings: Settings) -> None:
    """Serve artifacts that were opened and checked, until a signal ends it.

    SIGTERM or SIGINT: not ready at once, no new connections after `drain_delay`, every accepted request is
    answered, return. A second signal ends the process at once.
    InputError when the artifacts cannot stand together or the address is no good.
    """
    configure(settings.log_level, error_texts=False)
    with _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        log.info("listening", extra={"own_address": f"http://{f'[{host}]' if ':' in host else host}:{port}"})
        if settings.workers == 1:
            _serve(offers, settings, listener, None)
        else:
            _share(offers, settings, listener)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: without it an answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    return listener


def _share(offers: Sequence[Offer], settings: Settings, listener: socket.socket) -> None:
    """Serve in several processes, which are forked before anything has started a thread."""
    with tempfile.TemporaryDirectory(prefix="tocsin-metrics-") as name:
        common = _Common(Path(name), os.getpid())
        supervise(
            settings.workers,
            work=lambda: _serve(offers, settings, listener, common),
            retire=lambda pid: retire_process(pid, common.metrics),
        )


@dataclass(frozen=True)
class _Common:
    """What the processes of one server know of each other."""

    metrics: Path
    """Folder that all count in."""
    leader: int
    """The process that forked them; asked for by themselves it might be gone already."""


def _serve(
    offers: Sequence[Offer], settings: Settings, listener: socket.socket, common: _Common | None
) -> None:
    if common is not None:
        share_between_processes(common.metrics)
    app = create_app(offers, settings, Telemetry(None if common is None else common.metrics))
    server = Server(_config(app, settings), app.state.tocsin, None if common is None else common.leader)
    server.run(sockets=[listener])
    if app.state.tocsin.lane.is_stuck():
        log.error("a model does not come back: its thread is left behind")
        os._exit(1)


def _config(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        http=patient(settings.body_timeout),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.drain_timeout,
    )


class Server(uvicorn.Server):
    """uvicorn, with a way out that loses nothing."""

    def __init__(self, config: uvicorn.Config, state: ServerState, leader: int | None = None) -> None:
        super().__init__(config)
        self._state = state
        self._leader = leader
        self._deadline = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop being ready at the first signal; end the process at the second."""
        if self._state.draining:
            os._exit(128 + sig)
        self._deadline = monotonic() + self._state.settings.drain_delay
        self._state.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Leave the main loop when the time of draining is over; begin it when the leading process is gone."""
        if self._leader not in (None, os.getppid()) and not self._state.draining:
            self.handle_exit(signal.SIGTERM, None)
        if self._state.draining and monotonic() >= self._deadline:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, read what was accepted, answer it, then close."""
        for server in self.servers:
            server.close()
        deadline = monotonic() + SETTLE_SECONDS
        while self.server_state.connections and monotonic() < deadline:  # noqa: ASYNC110 - uvicorn signals no close
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
