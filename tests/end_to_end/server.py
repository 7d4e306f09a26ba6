"""Run `tocsin serve` on a loopback port until a block ends."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from end_to_end.command import with_path

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv[0] = "tocsin"
from tocsin.cli import main
main()
"""


@dataclass(frozen=True)
class Reply:
    """Status and parsed body."""

    status: int
    body: Any


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: "subprocess.Popen[bytes]"

    def request(self, path: str, body: object | None = None) -> Reply:
        """Send one request and return the reply, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                content, status = response.read(), response.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        return Reply(status, json.loads(content) if content[:1] in b"{[" else content.decode())

    def post(self, path: str, body: object) -> Any:
        """Send one request, hold its status to 200, and return the body."""
        reply = self.request(path, body)
        assert reply.status == 200, reply
        return reply.body


@contextmanager
def serving(artifact: Path, *options: str, extra_path: Path | None = None) -> Iterator[Server]:
    """Serve an artifact in a process in which torch cannot be imported."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | with_path(extra_path)
    command = [sys.executable, "-c", BLOCKED, "serve", str(artifact), "--port", str(port), *options]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        server = Server(f"http://127.0.0.1:{port}", process)
        try:
            _await_ready(server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def _await_ready(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if server.request("/health/ready").status == 200:
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready; exit code {server.process.poll()}")
