"""Sealed models of the size to measure, and servers that run while they are measured."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.workflows.training.train import TrainOptions, train_recipe


def train_briefly(folder: Path, detector: str, sample: str, data: Path, sets: list[str]) -> Path:
    """Train for a few steps and return the artifact: only its size matters here."""
    recipe = folder / "bench.yaml"
    recipe.write_text(
        f"detector: {detector}\nname: bench\noutput: {folder}\ndata: {{sample: {sample}, train: [{data}]}}\n"
    )
    sets = ["evaluation.baselines=[]", "evaluation.resamples=100", *sets]
    return train_recipe(recipe, sets, TrainOptions(variants=False), lambda message: None).runs[0].artifact


@contextmanager
def serving(artifact: Path) -> Iterator[int]:
    """Run `tocsin serve` until the block ends, on the port that is returned."""
    port = free_port()
    command = [sys.executable, "-m", "tocsin", "serve", str(artifact), "--port", str(port)]
    with running(command, port, "/health/ready"):
        yield port


@contextmanager
def running(command: list[str], port: int, health: str) -> Iterator[None]:
    """Run a server until the block ends; waits until it answers."""
    path = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    )
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PATH": path},
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not _answers(f"http://127.0.0.1:{port}{health}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{' '.join(command)} did not start")
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status) == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
