"""Small artifacts to seal, damage and open."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from tocsin.artifact.keys import sign
from tocsin.artifact.manifest import MANIFEST, SIGNATURE, Manifest, Provenance, TensorSpec
from tocsin.core.durable import json_bytes
from tocsin.core.encoder import Calibration
from tocsin.core.heads import LOGIT
from tocsin.core.types import Files

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def model(seed: int = 0) -> bytes:
    """A linear model [rows, 3] -> logit [rows]."""
    weight = np.random.default_rng(seed).normal(size=(3, 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Squeeze", ["y", "one"], ["logit"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1]), "one")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def manifest(**changes: Any) -> Manifest:
    provenance = Provenance(
        run="runs/example/seed_42",
        seed=42,
        recipe_sha256="1" * 64,
        data_fingerprint="2" * 64,
        git_commit="3" * 40,
        git_dirty=False,
        created_at="2026-11-20T00:00:00+00:00",
        tocsin_version="0.1.0",
        python_version="3.11.7",
        packages={"pydantic": "2.14.3", "numpy": "2.4.6"},
        device="cpu",
        trained_on="cpu",
    )
    values: dict[str, Any] = {
        "detector": "intrusion",
        "name": "example",
        "version": "1",
        "created_at": "2026-11-20T00:00:00+00:00",
        "sample": "netflow",
        "runtime": "onnx",
        "inputs": (TensorSpec(name="x", dtype="float32", shape=(None, 3)),),
        "outputs": (TensorSpec(name="logit", dtype="float32", shape=(None,)),),
        "heads": (LOGIT,),
        "calibration": Calibration("attack", "normal", ("dos", "probe"), 1.5, 0.75, 0.25),
        "metrics": {
            "roc_auc": {"value": 0.98, "low": 0.97, "high": 0.99},
            "f1": {"value": 0.9, "low": 0.88, "high": 0.92},
            "ece": {"value": None, "low": None, "high": None},
        },
        "data": {"rows": 1000, "positives": 100, "sources": ["flows.csv"], "refused_rows": 3},
        "parity": {"1": 1e-8, "100": 2e-7},
        "provenance": provenance,
    }
    return Manifest(**values | changes)


def files(seed: int = 0) -> Files:
    rng = np.random.default_rng(seed)
    return {
        "model.onnx": model(seed),
        "encoder/vocabulary.json": json_bytes({"words": list("abc")}),
        "encoder/scale.bin": rng.bytes(200),
        "golden.jsonl": b'{"sample": {}}\n',
    }


def rewrite(
    folder: Path, change: Callable[[dict[str, Any]], object], key: Ed25519PrivateKey | None = KEY
) -> None:
    """Change a manifest as somebody who holds the key could: hash and signature are made anew."""
    value = json.loads((folder / MANIFEST).read_bytes())
    del value["seal"]
    change(value)
    sign_as(folder, json_bytes(value | {"seal": digest(value)}), key)


def sign_as(folder: Path, raw: bytes, key: Ed25519PrivateKey | None = KEY) -> None:
    """Put these manifest bytes in place, signed if a key is given."""
    (folder / MANIFEST).write_bytes(raw)
    if key:
        (folder / SIGNATURE).write_bytes(sign(raw, key))
    else:
        (folder / SIGNATURE).unlink(missing_ok=True)


def digest(value: object) -> str:
    from hashlib import sha256

    return sha256(json_bytes(value)).hexdigest()
