"""The reference run with nothing left open, and ways to know otherwise of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.audit.readiness.facts import Known, Measurement
from tocsin.core.durable import json_bytes
from tocsin.data.dataset import Dataset
from tocsin.serve.predictor import Predictor
from tocsin.workflows.readiness.evidence import read_evidence


@dataclass(frozen=True)
class Healthy:
    """The reference run with everything that can be given or measured."""

    known: Known
    predictor: Predictor
    data: Dataset
    reports: list[str]
    folder: Path
    run: Path

    def measured(self, topic: str, facts: Mapping[str, Any]) -> Known:
        return replace(self.known, measured={**self.known.measured, topic: Measurement(facts, 0.0)})

    def sealed(self, name: str, change: Callable[[Any], object]) -> Known:
        """Seal other JSON under a name."""
        value = json.loads(self.known.files[name])
        change(value)
        return replace(self.known, files={**self.known.files, name: json_bytes(value)})

    def stated(self, **changes: Any) -> Known:
        return replace(self.known, manifest=self.known.manifest.model_copy(update=changes))

    def evaluated(self, change: Callable[[dict, dict], object]) -> Known:
        """Change the evaluation and its primary model."""
        return self.sealed("evaluation.json", lambda e: change(e, e["models"][e["primary"]]))

    def given(self, line: str, path: Path) -> Known:
        return self.measured(line, read_evidence([f"{line}={path}"], self.predictor.artifact)[line])


def train_again(artifact: Artifact, folder: Path, **changes: Any) -> Path:
    """Stand in for a second training, which gives the same bytes and another moment."""
    made = artifact.manifest.provenance.model_copy(
        update={"created_at": "2026-11-20T00:00:00+00:00", **changes}
    )
    names = artifact.files.keys() - {"manifest.json", "manifest.sig", "model_metadata.json"}
    files = {name: artifact.files[name] for name in names}
    seal(folder, artifact.manifest.model_copy(update={"provenance": made}), files)
    return folder


def speaking_two_languages(known: Known) -> Known:
    """Give the evaluation two slices by language: the flows have none, and M7 would stay open."""
    value = json.loads(known.files["evaluation.json"])
    slices = value["models"][value["primary"]]["slices"]
    line = next(s for s in slices if s["by"] == "in training")
    slices += [line | {"by": "language", "name": name} for name in ("en", "tr")]
    return replace(known, files={**known.files, "evaluation.json": json_bytes(value)})
