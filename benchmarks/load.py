"""A bounded HTTP load over kept-alive loopback connections, light enough to share two cores with a server."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Load:
    """Requests per second and milliseconds a request."""

    rate: float
    p50: float
    p95: float
    p99: float


def http_post(path: str, body: bytes) -> bytes:
    """Return the bytes of one request."""
    kind = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *kind)
    head = "\r\n".join([*lines, "", ""])
    return head.encode() + body


def run_load(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Send one request over and over from several connections for so many seconds."""
    return asyncio.run(_run(port, request, connections, seconds))


async def _run(port: int, request: bytes, connections: int, seconds: float) -> Load:
    stop = time.perf_counter() + seconds
    start = time.perf_counter()
    times = [
        t
        for part in await asyncio.gather(*(_connection(port, request, stop) for _ in range(connections)))
        for t in part
    ]
    elapsed = time.perf_counter() - start
    p50, p95, p99 = np.percentile(np.array(times) * 1000, (50, 95, 99))
    return Load(len(times) / elapsed, float(p50), float(p95), float(p99))


async def _connection(port: int, request: bytes, stop: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while (start := time.perf_counter()) < stop:
        writer.write(request)
        await _response(reader)
        times.append(time.perf_counter() - start)
    writer.close()
    return times


async def _response(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = head.split(b" ", 2)[1]
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(length)
    if status != b"200":
        raise RuntimeError(f"status {status.decode()}: {body[:300]!r}")
    return body
