"""The bill of materials: the model and the libraries that made it, as a CycloneDX 1.6 ML-BOM.

Written by hand: `cyclonedx-python-lib` 11 has no model cards, and is not installed where models are trained.
The tests validate it with that library's strict validator. Source: https://cyclonedx.org/docs/1.6/json.
"""

import re
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tocsin.artifact.manifest import ENCODER, Manifest
from tocsin.core.durable import json_bytes
from tocsin.core.types import Files

MODEL = "model"
NUMBERS = (".onnx", ".safetensors")
"""How the names of files end that hold a model."""


def write_bom(manifest: Manifest, files: Files) -> bytes:
    """Return `bom.cdx.json`: the model with the hashes of its files, and every library beneath it."""
    libraries = _libraries(manifest)
    held = [n for n in sorted(files) if n.endswith(NUMBERS) and not n.startswith(ENCODER)]
    parts = [_file(name, files[name]) for name in held]
    identity = "".join(part["hashes"][0]["content"] for part in parts) + manifest.created_at
    return json_bytes(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": uuid5(NAMESPACE_URL, f"{manifest.detector}/{manifest.name}/{identity}").urn,
            "version": 1,
            "metadata": {
                "timestamp": manifest.created_at,
                "tools": {"components": [_library("tocsin", manifest.provenance.tocsin_version)]},
                "component": _model(manifest) | {"components": parts},
            },
            "components": [_library(name, version) for name, version in libraries.items()],
            "dependencies": _dependencies(manifest, libraries),
        }
    )


def _model(manifest: Manifest) -> dict[str, Any]:
    sources = [str(name) for name in manifest.data.get("sources", ())]
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": manifest.name,
        "version": manifest.version,
        "description": f"tocsin detector {manifest.detector}, runtime {manifest.runtime}",
        "modelCard": {
            "modelParameters": {
                "task": f"{manifest.detector}: {manifest.task}",
                "datasets": [{"type": "dataset", "name": name} for name in sources],
                "inputs": [{"format": f"{spec.name}: {spec.dtype}"} for spec in manifest.inputs],
                "outputs": [{"format": f"{spec.name}: {spec.dtype}"} for spec in manifest.outputs],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(manifest)},
        },
        "properties": [
            {"name": "tocsin:data_fingerprint", "value": manifest.provenance.data_fingerprint},
            {"name": "tocsin:recipe_sha256", "value": manifest.provenance.recipe_sha256},
            {"name": "tocsin:git_commit", "value": manifest.provenance.git_commit or ""},
        ],
    }


def _metrics(manifest: Manifest) -> list[dict[str, Any]]:
    found = []
    for name, metric in manifest.metrics.items():
        if metric["value"] is None:
            continue
        line: dict[str, Any] = {"type": name, "value": str(metric["value"])}
        if metric.get("low") is not None:
            bounds = {"lowerBound": str(metric["low"]), "upperBound": str(metric["high"])}
            line["confidenceInterval"] = bounds
        found.append(line)
    return found


def _file(name: str, content: bytes) -> dict[str, Any]:
    digest = sha256(content).hexdigest()
    return {"type": "file", "bom-ref": name, "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _library(name: str, version: str) -> dict[str, Any]:
    public = version.partition("+")[0]  # `2.13.0+cpu` is 2.13.0 to whoever looks up advisories
    reference = f"pkg:pypi/{_normal(name)}@{public}"
    return {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference}


def _libraries(manifest: Manifest) -> dict[str, str]:
    """Return name -> version of what the manifest names, and of what is installed beneath it, sorted."""
    found = {_normal(name): version for name, version in manifest.provenance.packages.items()}
    todo = list(found)
    while todo:
        for name, package in _needs(todo.pop()).items():
            if name not in found:
                found[name] = package.version
                todo.append(name)
    return dict(sorted(found.items()))


def _needs(name: str) -> dict[str, Distribution]:
    """Return the installed packages that a package needs; an extra's are not counted."""
    package = _installed(name)
    lines = [line for line in (package and package.requires) or () if "extra ==" not in line]
    names = {_normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in lines}
    return {found: installed for found in names if (installed := _installed(found))}


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _dependencies(manifest: Manifest, libraries: dict[str, str]) -> list[dict[str, Any]]:
    references = {name: _library(name, version)["bom-ref"] for name, version in libraries.items()}
    direct = sorted(references[_normal(name)] for name in manifest.provenance.packages)
    beneath = [
        {
            "ref": reference,
            "dependsOn": sorted(references[found] for found in _needs(name) if found in references),
        }
        for name, reference in references.items()
    ]
    return [{"ref": MODEL, "dependsOn": direct}, *beneath]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
