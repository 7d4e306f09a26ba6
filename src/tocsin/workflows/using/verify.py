"""Check an artifact as a server would before it answers."""

from typing import Any

from tocsin.serve.service import service_of
from tocsin.workflows.using.stores import Source


def verify_artifact(source: Source) -> dict[str, Any]:
    """Check seal and signature, load the service, replay the golden samples; return what was verified."""
    service = service_of(source.offer())
    service.load()
    artifact, manifest = service.offer.artifact, service.offer.artifact.manifest
    return {
        "artifact": str(source.path()),
        "detector": manifest.detector,
        "name": manifest.name,
        "version": manifest.version,
        "digest": artifact.digest,
        "signed_by": artifact.signed_by or "nobody: the seal shows changes, not who made it",
        "files": len(artifact.files),
        "golden_samples": service.golden,
        "data_fingerprint": manifest.provenance.data_fingerprint,
        "git_commit": manifest.provenance.git_commit,
    }
