"""Requests per second: `tocsin serve`, a bare FastAPI + onnxruntime program and `mlflow models serve`, in turns.

All three serve the same FT-Transformer (8 heads, 4 layers, d 128) in one process with one inference thread.
tocsin alone validates the raw record and encodes it; the other two are sent the encoded arrays.
"""

import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import mlflow.onnx
import onnx

from benchmarks.load import Load, http_post, run_load
from benchmarks.servers import free_port, running, serving, train_briefly
from benchmarks.table import publish
from tocsin.artifact.open import Artifact, open_artifact
from tocsin.core.plugins import load_detector
from tocsin.core.types import Arrays, tabulate

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

    sets = ["stages.pretrain.length=0 steps", "stages.finetune.length=20 steps", "data.limit=5000"]
    path = train_briefly(folder, "intrusion", "flow", make(folder, 0), sets)
    assert detector.runtime == "onnx"
    return open_artifact(path)


def encode_sample(artifact: Artifact, sample: dict[str, object]) -> Arrays:
    """Return the arrays of one raw sample, as the peers want them."""
    detector = load_detector("intrusion")
    encoder = detector.load_encoder(
        {k.removeprefix("encoder/"): v for k, v in artifact.files.items() if k.startswith("encoder/")}
    )
    kind = detector.schemas[artifact.manifest.sample].sample
    return encoder.encode(tabulate([kind.model_validate(sample)], kind))


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
    ports = [stack.enter_context(serving(next(folder.glob("bench/**/artifact")))), free_port(), free_port()]
    python = [sys.executable, "-m"]
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


if __name__ == "__main__":
    main()
