"""Start a server process, wait until it is ready, and end it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

LAUNCH = Path(__file__).with_name("launch.py")


class Server:
    """A server process; its log is read line by line as JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.port = 0
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["event"] == "listening":
                self.port = int(self.log[-1]["own_address"].rpartition(":")[2])
                self._listening.set()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Send one request on a connection of its own."""
        connection = self.connect()
        headers = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def wait(self) -> None:
        assert self._listening.wait(30), f"not listening: {self.process.poll()} {self.log}"
        deadline = time.monotonic() + 30
        while self.request("GET", "/health/ready")[0] != 200:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def end(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(sig)
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=5)
        return code


@contextmanager
def serving(
    artifact: Path, log: Path = Path(os.devnull), ready: bool = True, **options: Any
) -> Iterator[Server]:
    """Serve an artifact on a free port until the block ends."""
    options["settings"] = {"request_log": str(log), "drain_delay": 0.1} | options.get("settings", {})
    command = [sys.executable, str(LAUNCH), str(artifact), json.dumps(options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    server = Server(process)
    try:
        if ready:
            server.wait()
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        server._reader.join(timeout=5)
        assert process.stderr is not None
        process.stderr.close()


def metric(server: Server, name: str) -> float:
    """Sum the samples of a metric whose name and labels begin like this."""
    rows = [row for row in server.request("GET", "/metrics")[1].splitlines() if row.startswith(name)]
    return sum(float(row.rpartition(" ")[2]) for row in rows)


def eventually(condition: Any, seconds: float = 15) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("it did not come to pass")
        time.sleep(0.02)
