"""From what is known about an artifact to its scorecard; at packaging, from what is known then."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from tocsin.artifact.manifest import SIGNATURE, Manifest
from tocsin.artifact.open import Artifact
from tocsin.audit.findings import AuditReport
from tocsin.audit.gates import Gate, evaluate_gates
from tocsin.audit.readiness.facts import Known, Measurement
from tocsin.audit.readiness.lines import Making, make_lines
from tocsin.audit.scorecard import Scorecard, make_scorecard
from tocsin.core.durable import json_bytes
from tocsin.core.plugins import load_detector
from tocsin.core.schema import Schema
from tocsin.core.types import Files
from tocsin.workflows.judging.answers import parse_sealed


def know_artifact(artifact: Artifact, measured: Mapping[str, Measurement]) -> Known:
    """Put together what is known about a sealed artifact."""
    manifest = artifact.manifest
    schema = load_detector(manifest.detector).schema(manifest.sample)
    return Known(
        manifest,
        artifact.files,
        schema.sample,
        denied_columns(schema),
        measured,
        is_signed=SIGNATURE in artifact.files,
        signed_by=artifact.signed_by,
    )


def denied_columns(schema: Schema) -> dict[str, str]:
    """Return the denied columns of every layout of a schema, with the reason."""
    return {name: reason for layout in schema.layouts.values() for name, reason in layout.denied.items()}


def score_unsealed(manifest: Manifest, files: Files, schema: Schema, *, is_signed: bool) -> bytes:
    """Return `scorecard.json` as it is sealed: what training itself shows, and nothing that takes a server."""
    hashes = {name: sha256(content).hexdigest() for name, content in files.items()}
    named = manifest.model_copy(update={"files": hashes})
    known = Known(named, files, schema.sample, denied_columns(schema), is_signed=is_signed)
    made = manifest.provenance
    making = Making(command="tocsin train", commit=made.git_commit, gates=decide_gates(known))
    return json_bytes(score_known(known, making, None))


def score_known(known: Known, making: Making, digest: str | None) -> Scorecard:
    """Decide every line and add them up."""
    return make_scorecard(
        make_lines(known, making),
        detector=known.manifest.detector,
        name=known.manifest.name,
        artifact=digest,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def decide_gates(known: Known) -> tuple[Gate, ...]:
    """Decide the ten gates; none where the artifact holds no audit or no evaluation.

    InputError for an audit of another version of tocsin.
    """
    if not (known.audit and known.evaluation):
        return ()
    audit = parse_sealed(known, "audit.json", AuditReport)
    return evaluate_gates(audit, known.evaluation, known.manifest)
