"""The guard in conftest.py: a test that reaches beyond loopback fails."""

import socket

import pytest


@pytest.mark.parametrize("reach", [
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    lambda: socket.getaddrinfo("example.com", 80),
    lambda: socket.gethostbyname("example.com"),
])  # fmt: skip
def test_the_world_is_refused(reach, outbound):
    with pytest.raises(ConnectionRefusedError, match="stay on this machine"):
        reach()
    assert len(outbound) == 1
    outbound.clear()


def test_loopback_is_open():
    with socket.create_server(("localhost", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
