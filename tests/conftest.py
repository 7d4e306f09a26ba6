"""What every test stands on: no network, few threads, the shared data, and the hardware that is there."""

import os

# Before any numerical library reads them. Two workers with two threads each would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ |= {
    "DO_NOT_TRACK": "true",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MPLBACKEND": "Agg",
}

import ipaddress
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("tocsin", deadline=None, print_blob=True)
settings.load_profile("tocsin")

_outbound: list[str] = []


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket's address is a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        _outbound.append(f"{event} {host}")
        raise ConnectionRefusedError(f"tests stay on this machine: {event} {host}")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def outbound() -> Iterator[list[str]]:
    """What this test tried to reach beyond loopback; anything left in the list fails the test."""
    _outbound.clear()
    yield _outbound
    assert not _outbound, f"reached for the network: {_outbound}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, ../shared/data or $TOCSIN_SHARED_DATA; a test without it is skipped."""
    folder = Path(os.environ.get("TOCSIN_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: {folder} (set TOCSIN_SHARED_DATA)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, saying why, what this machine lacks the hardware or the browser for."""
    lacking = {"gpu": lambda: not _has_cuda(), "browser": lambda: not shutil.which("chromium")}
    for name, is_absent in lacking.items():
        marked = [item for item in items if item.get_closest_marker(name)]
        if marked and is_absent():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=f"{name}: not on this machine"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
