"""The manifest: what an artifact is, what made it, and the sha256 of every file in it."""

import json
from hashlib import sha256
from typing import Any, Literal

from pydantic import Field, ValidationError

from tocsin.artifact.refusal import ArtifactError
from tocsin.core.detector import RuntimeName
from tocsin.core.durable import json_bytes
from tocsin.core.encoder import Calibration
from tocsin.core.errors import InputError
from tocsin.core.heads import Head
from tocsin.core.provenance import Origin
from tocsin.core.types import Frozen

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
ENCODER = "encoder/"
RECIPE = "recipe.yaml"
GOLDEN = "golden.jsonl"
METADATA = "model_metadata.json"
SCHEMA_VERSION = 2


class TensorSpec(Frozen):
    """One input or output of the ONNX model; the first axis is the rows and is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] = Field(description="None is free")


class Provenance(Origin):
    """The origin of the numbers, and the machine and the versions behind it."""

    tocsin_version: str
    python_version: str
    packages: dict[str, str] = Field(description="versions of what trained and exported the model")
    device: str = Field(description="CPU or GPU name")
    trained_on: Literal["cpu", "gpu"]


class Int8(Frozen):
    """What quantisation costs on the validation rows, and whether that was little enough."""

    roc_auc_loss: float
    f1_loss: float
    kept: bool = Field(description="False: float32 is served")


class Manifest(Frozen):
    """`manifest.json`."""

    schema_version: Literal[2] = 2
    detector: str
    name: str
    version: str
    created_at: str = Field(description="UTC, ISO 8601; part of the sealed digest")
    sample: str = Field(description="which of the detector's samples it answers")
    runtime: RuntimeName
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    heads: tuple[Head, ...] = Field(description="what the outputs are, and how each is compared and read")
    calibration: Calibration | None = Field(
        None, description="None where it answers with texts, not verdicts"
    )
    metrics: dict[str, Any] = Field(description="name -> {value, low, high} on the test rows")
    data: dict[str, Any] = Field(description="rows, class balance, sources, refused rows, repairs")
    parity: dict[str, float] = Field(
        description="rows of a batch -> largest |difference| in probability from what trained it, before int8"
    )
    int8: Int8 | None = Field(None, description="None where the recipe does not ask for it")
    provenance: Provenance
    files: dict[str, str] = Field(
        default_factory=dict,
        description="relative POSIX path -> sha256, for all but manifest and signature; filled in by `seal`",
    )
    seal: str = Field(
        "",
        description="sha256 of the manifest without this field: shows damage without a key; set by `seal`",
    )

    @property
    def calibrated(self) -> Calibration:
        """How scores become verdicts; InputError where the model gives none."""
        if self.calibration is None:
            raise InputError(
                f"artifact {self.name!r} gives no verdicts: {self.detector} answers with texts;"
                " ask it by `tocsin serve`"
            )
        return self.calibration

    @property
    def task(self) -> str:
        """What it answers, in a few words."""
        how = self.calibration
        return "a text" if how is None else f"{how.positive} or {how.negative}"

    def metadata(self) -> dict[str, Any]:
        """Return `model_metadata.json` with the names that the source systems used."""
        return {
            "version": self.version,
            "created_at": self.created_at,
            "training_config": self.provenance.recipe_sha256,
            "data_stats": self.data,
            "metrics": self.metrics,
            "git_commit": self.provenance.git_commit,
            "framework version": self.provenance.packages.get("torch"),
            "trained_on": self.provenance.trained_on,
        }


def dump_manifest(manifest: Manifest, files: dict[str, str]) -> bytes:
    """Return the canonical bytes of `manifest.json` for these files and their hashes."""
    value = manifest.model_dump(exclude={"files", "seal"}) | {"files": files}
    return json_bytes(value | {"seal": _hash(value)})


def parse_manifest(raw: bytes) -> Manifest:
    """Read `manifest.json`; ArtifactError on anything that `dump_manifest` did not write."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_distinct)
        canonical = json_bytes(value)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the manifest is not JSON: {error}", "manifest-not-json") from None
    if canonical != raw:
        message = "the manifest is not as tocsin writes it: keys reordered, spaces added, numbers rewritten"
        raise ArtifactError(message, "manifest-not-canonical")
    seal = value.pop("seal", None) if isinstance(value, dict) else None
    if seal != _hash(value):
        raise ArtifactError("the manifest was changed: it does not match its own hash", "manifest-changed")
    if value.get("schema_version") != SCHEMA_VERSION:
        found = repr(value.get("schema_version"))[:40]
        raise ArtifactError(f"its schema_version is {found}, not {SCHEMA_VERSION}", "schema-version")
    try:
        return Manifest.model_validate(value | {"seal": seal})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"the manifest is not valid: {where}: {first['msg']}"
        raise ArtifactError(message, "manifest-invalid") from None


def _hash(value: object) -> str:
    return sha256(json_bytes(value)).hexdigest()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ArtifactError(f"the manifest has the key {key[:200]!r} twice in one place", "duplicate-key")
        found[key] = value
    return found
