"""What made a number: the same facts for the report and for the manifest."""

import platform
from datetime import UTC, datetime

from tocsin import __version__
from tocsin.artifact.manifest import Provenance
from tocsin.core.provenance import Origin, git_state, package_versions
from tocsin.core.recipes import recipe_sha256
from tocsin.data.splits import Fold
from tocsin.engine.hardware import device_name
from tocsin.workflows.training.members import Job

PACKAGES = (
    "torch",
    "lightning-fabric",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "lightgbm",
    "pydantic",
)


def make_origin(fold: Fold, job: Job) -> Origin:
    """Return the origin of the numbers of one run."""
    commit, dirty = git_state()
    return Origin(
        run=str(job.folder),
        seed=job.seed,
        recipe_sha256=recipe_sha256(job.recipe),
        data_fingerprint=fold.fingerprint,
        git_commit=commit,
        git_dirty=dirty,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def make_provenance(fold: Fold, job: Job) -> Provenance:
    """Return the provenance that is sealed into the manifest of one run."""
    origin = make_origin(fold, job)
    device = device_name()
    return Provenance(
        **origin.model_dump(),
        tocsin_version=__version__,
        python_version=platform.python_version(),
        packages=package_versions(PACKAGES),
        device=device,
        trained_on="cpu"
        if job.recipe.compute.device == "cpu"
        else "gpu"
        if "cuda" in device.lower()
        else "cpu",
    )
