"""Requests per second: `tocsin serve`, a bare FastAPI + onnxruntime program and `mlflow models serve`, in turns.

All three serve the same FT-Transformer (8 heads, 4 layers, d 128) in one process with one inference thread.
tocsin alone validates the raw record and encodes it; the other two are sent the encoded arrays.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow.onnx
import onnx

from benchmarks.load import Load, http_post, run_load
from benchmarks.table import publish
from tocsin.artifact.open import Artifact, open_artifact
from tocsin.core.plugins import load_detector
from tocsin.core.types import Arrays, tabulate
from tocsin.workflows.train import TrainOptions, train_recipe

CONNECTIONS, SECONDS, ROUNDS = 8, 5.0, 5


@dataclass(frozen=True)
class Server:
    """A running server and the request it is asked."""

    name: str
    port: int
    request: bytes


def make_artifact(folder: Path) -> Artifact:
    """Train the default FT-Transformer for a few steps: only its size matters here."""
    detector = load_detector("intrusion")
    from tocsin.detectors.intrusion.demo import make

    data = make(folder, 0)
    recipe = folder / "bench.yaml"
    recipe.write_text(
        f"detector: intrusion\nname: bench\noutput: {folder}\ndata: {{sample: flow, train: [{data}]}}\n"
    )
    sets = [
        "stages.pretrain.length=0 steps",
        "stages.finetune.length=20 steps",
        "evaluation.baselines=[]",
        "evaluation.resamples=100",
    ]
    sets += ["data.limit=4000"]
    result = train_recipe(recipe, sets, TrainOptions(variants=False), lambda message: None)
    assert detector.runtime == "onnx"
    return open_artifact(result.runs[0].artifact)


def encode_sample(artifact: Artifact, sample: dict[str, object]) -> Arrays:
    """Return the arrays of one raw sample, as the peers want them."""
    detector = load_detector("intrusion")
    encoder = detector.load_encoder(
        {k.removeprefix("encoder/"): v for k, v in artifact.files.items() if k.startswith("encoder/")}
    )
    kind = detector.schemas[artifact.manifest.sample].sample
    return encoder.encode(tabulate([kind.model_validate(sample)], kind))


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


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        artifact = make_artifact(folder)
        sample = json.loads(artifact.files["golden.jsonl"].splitlines()[0])["sample"]
        servers = start_all(stack, folder, artifact, sample)
        loads: dict[str, list[Load]] = {server.name: [] for server in servers}
        for round_ in range(ROUNDS + 1):
            for server in servers:
                found = run_load(
                    server.port, server.request, connections=CONNECTIONS, seconds=SECONDS if round_ else 1.0
                )
                loads[server.name] += [found] if round_ else []
        ours = loads[servers[0].name]
        table = [_row(name, found, ours) for name, found in loads.items()]
        table += _batch_rows(servers[0], artifact)
    notes = [
        f"{CONNECTIONS} kept-alive connections, {ROUNDS} rounds of {SECONDS:.0f} s in turns, load from the same cores",
        "ratio: median over rounds of tocsin's requests/s over the other's; aims: bare ≥ 0.85, MLflow ≥ 4",
        "tocsin validates the raw record, encodes it and builds the verdict; the peers are sent encoded arrays",
    ]
    publish("serving", ["server", "requests/s", "p50 ms", "p95 ms", "p99 ms", "tocsin / it"], table, notes)


def start_all(stack: ExitStack, folder: Path, artifact: Artifact, sample: dict[str, object]) -> list[Server]:
    """Start the three servers on the same model."""
    model = folder / "model.onnx"
    model.write_bytes(artifact.files["model.onnx"])
    one = {"intra_op_num_threads": 1}
    mlflow.onnx.save_model(onnx.load(str(model)), str(folder / "mlflow"), onnx_session_options=one)
    arrays = {name: values.tolist() for name, values in encode_sample(artifact, sample).items()}
    ports = [free_port() for _ in range(3)]
    path = next(folder.glob("bench/**/artifact"))
    python = [sys.executable, "-m"]
    stack.enter_context(
        running([*python, "tocsin", "serve", str(path), "--port", str(ports[0])], ports[0], "/health/ready")
    )
    stack.enter_context(
        running([*python, "benchmarks.bare_app", str(model), str(ports[1])], ports[1], "/docs")
    )
    serve = [
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder / "mlflow"),
        "-p",
        str(ports[2]),
        "--env-manager",
        "local",
    ]
    stack.enter_context(running([*python, *serve], ports[2], "/ping"))
    row = {name: values[0] for name, values in arrays.items()}
    return [
        Server("tocsin serve", ports[0], http_post("/v1/intrusion/predict", json.dumps(sample).encode())),
        Server("bare FastAPI + onnxruntime", ports[1], http_post("/predict", json.dumps(row).encode())),
        Server(
            "mlflow models serve",
            ports[2],
            http_post("/invocations", json.dumps({"inputs": arrays}).encode()),
        ),
    ]


def _row(name: str, found: list[Load], ours: list[Load]) -> tuple[object, ...]:
    best = max(found, key=lambda load: load.rate)
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, found, strict=True))
    return name, best.rate, best.p50, best.p95, best.p99, ratio


def _batch_rows(server: Server, artifact: Artifact) -> list[tuple[object, ...]]:
    """One connection: single requests, then batches of 100 over HTTP."""
    samples = [json.loads(line)["sample"] for line in artifact.files["golden.jsonl"].splitlines()]
    batch = json.dumps([samples[i % len(samples)] for i in range(100)]).encode()
    path = "/v1/intrusion/predict"
    single = run_load(
        server.port, http_post(path, json.dumps(samples[0]).encode()), connections=1, seconds=SECONDS
    )
    many = run_load(server.port, http_post(path, batch), connections=1, seconds=SECONDS)
    times = 100 * many.rate / single.rate
    return [
        ("tocsin, one connection, singles", single.rate, single.p50, single.p95, single.p99, ""),
        (
            f"tocsin, one connection, batches of 100: {times:.1f}x the rows/s of singles",
            many.rate,
            many.p50,
            many.p95,
            many.p99,
            "",
        ),
    ]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status) == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    main()
