"""The manifest: what an artifact is, what made it, and the sha256 of every file in it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tocsin.core.detector import Calibration

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
ONNX = "model.onnx"
WEIGHTS = "model.safetensors"
ENCODER = "encoder/"
RECIPE = "recipe.yaml"
GOLDEN = "golden.jsonl"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TensorSpec(_Part):
    """One input or output of the ONNX model; the first axis is the rows and is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] = Field(description="None is free")


class Provenance(_Part):
    """Where the numbers come from."""

    run: str = Field(description="path of the run's folder as it was when packaged")
    seed: int
    recipe_sha256: str
    data_fingerprint: str = Field(description="sha256 over ids, labels, schema and split")
    git_commit: str | None
    git_dirty: bool | None
    tocsin_version: str
    python_version: str
    packages: dict[str, str] = Field(description="versions of what trained and exported the model")
    device: str = Field(description="CPU or GPU name")
    trained_on: Literal["cpu", "gpu"]


class Manifest(_Part):
    """`manifest.json`."""

    schema_version: Literal[1] = 1
    detector: str
    name: str
    version: str
    created_at: str = Field(description="UTC, ISO 8601; left out of the digest of nothing: it is sealed too")
    sample: str = Field(description="which of the detector's samples it answers")
    runtime: Literal["onnx", "chat"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    calibration: Calibration
    metrics: dict[str, Any] = Field(description="name -> {value, low, high} on the test rows")
    data: dict[str, Any] = Field(description="rows, class balance, sources, refused rows, repairs")
    parity: dict[str, float] = Field(description="rows of the batch -> largest difference in probability from PyTorch")
    provenance: Provenance
    files: dict[str, str] = Field(description="relative POSIX path -> sha256, for every file but the manifest and its signature")

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
