"""Artifacts of the toy detector, and ways to ask an application about them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from starlette.applications import Starlette

import tocsin.detectors
from tocsin.artifact.manifest import ENCODER, GOLDEN, ONNX, Manifest, Provenance, TensorSpec
from tocsin.artifact.open import Artifact
from tocsin.core.encoder import Calibration
from tocsin.core.heads import LOGIT, Head
from tocsin.core.plugins import load_detector
from tocsin.core.types import tabulate
from tocsin.serve.app import create_app
from tocsin.serve.service import Offer
from tocsin.serve.settings import Settings

PLUGINS = Path(__file__).parent / "plugins"
if str(PLUGINS) not in tocsin.detectors.__path__:
    tocsin.detectors.__path__.append(str(PLUGINS))

ATTACK = {"a": 3.0, "b": 2.0, "protocol": "udp"}
CALM = {"a": -3.0, "b": -2.0, "protocol": "tcp"}
SAMPLES = [ATTACK, CALM, {}, {"a": 0.5}, {"b": -0.25, "protocol": "sctp"}, {"a": 1e9, "note": "déjà: vu"}]

INPUTS = (
    TensorSpec(name="numeric", dtype="float32", shape=(None, 2)),
    TensorSpec(name="state", dtype="int64", shape=(None, 2)),
    TensorSpec(name="categorical", dtype="int64", shape=(None, 1)),
)
OUTPUTS = (
    TensorSpec(name="logit", dtype="float32", shape=(None,)),
    TensorSpec(name="category", dtype="float32", shape=(None, 2)),
)
HEADS = (LOGIT, Head("category", "kinds", (2,)))


@cache
def toy_model(weight: float = 2.0) -> bytes:
    """logit = weight * a + b - 0.5 * absent + 0.3 * protocol; categories follow the sign of a."""
    weights = {
        "w": np.array([[weight], [1.0]], np.float32),
        "w2": np.array([[1.0, -1.0], [0.0, 0.0]], np.float32),
        "half": np.array(-0.5, np.float32),
        "third": np.array(0.3, np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["numeric", "w"], ["m"]),
        helper.make_node("Squeeze", ["m", "axis"], ["linear"]),
        helper.make_node("Cast", ["state"], ["s"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["s", "axis"], ["absent"], keepdims=0),
        helper.make_node("Mul", ["absent", "half"], ["loss"]),
        helper.make_node("Cast", ["categorical"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["c", "axis"], ["code"]),
        helper.make_node("Mul", ["code", "third"], ["gain"]),
        helper.make_node("Sum", ["linear", "loss", "gain"], ["logit"]),
        helper.make_node("MatMul", ["numeric", "w2"], ["category"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [_value(spec) for spec in INPUTS],
        [_value(spec) for spec in OUTPUTS],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}[spec.dtype]
    return helper.make_tensor_value_info(spec.name, kind, ["rows" if n is None else n for n in spec.shape])


def toy_files(model: bytes | None = None, golden: bytes | None = None) -> dict[str, bytes]:
    return {
        ONNX: toy_model() if model is None else model,
        ENCODER + "toy.json": b"{}",
        GOLDEN: golden_lines() if golden is None else golden,
    }


@cache
def golden_lines() -> bytes:
    """Answers worked out with numpy, apart from the code that serves."""
    detector = load_detector("toy")
    sample = detector.schemas["toy"].sample
    lines = []
    for raw in SAMPLES:
        x = detector.load_encoder({"toy.json": b"{}"}).encode(tabulate([sample(**raw)], sample))
        logit = float(x["numeric"][0] @ [2.0, 1.0] - 0.5 * x["state"].sum() + 0.3 * x["categorical"].sum())
        outputs = {"logit": logit, "category": [float(x["numeric"][0, 0]), -float(x["numeric"][0, 0])]}
        lines.append(json.dumps({"sample": raw, "outputs": outputs}))
    return "\n".join(lines).encode() + b"\n"


def toy_manifest(**changes: Any) -> Manifest:
    provenance = Provenance(
        run="runs/toy", seed=42, recipe_sha256="0" * 64, data_fingerprint="0" * 64, git_commit=None,
        git_dirty=None, created_at="2026-11-20T10:00:00+00:00",
        tocsin_version="0", python_version="3", packages={}, device="cpu", trained_on="cpu",
    )  # fmt: skip
    calibration = Calibration("bad", "good", ("left", "right"), 1.5, 0.6, 0.4)
    given: dict[str, Any] = {
        "detector": "toy", "name": "toys", "version": "7", "created_at": "2026-11-20T10:00:00+00:00",
        "sample": "toy", "runtime": "onnx", "inputs": INPUTS, "outputs": OUTPUTS,
        "heads": HEADS, "calibration": calibration,
        "metrics": {"roc_auc": {"value": 0.9, "low": 0.8, "high": 0.95}}, "data": {}, "parity": {},
        "provenance": provenance,
    }  # fmt: skip
    return Manifest(**given | changes)


def toy_artifact(files: dict[str, bytes] | None = None, **changes: Any) -> Artifact:
    files = toy_files() if files is None else files
    digest = sha256(b"".join(files.values())).hexdigest()
    return Artifact(toy_manifest(**changes), files, digest, None)


def quiet(**changes: Any) -> Settings:
    return Settings(request_log=Path("/dev/null"), **changes)


def toy_app(settings: Settings | None = None, artifact: Artifact | None = None) -> Starlette:
    return create_app([Offer(toy_artifact() if artifact is None else artifact)], settings or quiet())


@asynccontextmanager
async def running(app: Starlette, ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application without a socket; wait until it is ready."""
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://toy") as client,
    ):
        if ready:
            await until(lambda: app.state.tocsin.is_ready)
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other threads bring it about
            await asyncio.sleep(0.005)


def ask(act: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]], app: Starlette | None = None) -> Any:
    """Run one conversation with an application and return what it returns."""

    async def talk() -> Any:
        async with running(app or toy_app()) as client:
            return await act(client)

    return asyncio.run(talk())


def post(
    body: object = None, path: str = "/v1/toy/predict", app: Starlette | None = None, **given: Any
) -> httpx.Response:
    """Send one POST, a JSON value or raw bytes, and return the response."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | given.pop("headers", {})
    return ask(lambda client: client.post(path, content=content, headers=headers, **given), app)


def toy_module() -> Any:
    return sys.modules[f"{tocsin.detectors.__name__}.toy"]
