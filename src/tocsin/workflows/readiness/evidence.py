"""Evidence that other programs wrote: coverage, test reports, advisories, a second training."""

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tocsin.artifact.manifest import ENCODER, GOLDEN, ONNX, WEIGHTS
from tocsin.artifact.open import Artifact, open_artifact
from tocsin.audit.readiness.facts import Facts
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.heads import decision_of, probability
from tocsin.core.plugins import load_detector
from tocsin.workflows.judging.compare import Comparison

TURNED = {"better": "worse", "worse": "better"}
"""The verdict on B, by that on A."""
HISTORY = "metrics_history.csv"
DAY = 86_400

ReadFacts = Callable[[Sequence[Path], Artifact], Facts]


def read_evidence(given: Sequence[str], artifact: Artifact) -> dict[str, Facts]:
    """Read `ID=FILE` options into facts by line; several files for one line are read together.

    Errors: InputError for a line that takes no file, a file that cannot be read or is not what it should be.
    """
    files: dict[str, list[Path]] = {}
    for text in given:
        line, equals, path = text.partition("=")
        if not equals or line not in READERS:
            known = list(READERS)
            hint = did_you_mean(line, known)
            raise InputError(f"--evidence {text}: write ID=FILE with one of {', '.join(known)}{hint}")
        files.setdefault(line, []).append(Path(path))
    return {line: _read(line, paths, artifact) for line, paths in files.items()}


def _read(line: str, paths: Sequence[Path], artifact: Artifact) -> Facts:
    try:
        return READERS[line](paths, artifact)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ElementTree.ParseError) as error:
        shown = ", ".join(map(str, paths))
        raise InputError(f"--evidence {line}: {shown} is not {WANTED[line]}: {str(error)[:200]}") from None


def _names(artifact: Artifact, line: str) -> tuple[str, ...]:
    """Return what the detector says proves a line; ValueError where it says nothing."""
    name = artifact.manifest.detector
    found = load_detector(name).tests.get(line, ())
    if not found:
        raise ValueError(f"what {name} names, as its `tests` name nothing for {line}")
    return found


def read_coverage(paths: Sequence[Path], artifact: Artifact) -> Facts:
    """Read `coverage json`: how much of the feature code the tests reach."""
    folders = _names(artifact, "D7")
    found: dict[str, Any] = {}
    for path in paths:
        files = json.loads(path.read_bytes())["files"]
        found |= {
            name: part["summary"]
            for name, part in files.items()
            if any(folder in name.replace("\\", "/") for folder in folders)
        }
    statements = sum(part["num_statements"] for part in found.values())
    if not statements:
        raise ValueError(f"it names no file below {' or '.join(folders)}")
    covered = sum(part["covered_lines"] for part in found.values())
    return {"statements": statements, "covered": covered, "share": covered / statements}


def _read_tests(line: str) -> ReadFacts:
    def read(paths: Sequence[Path], artifact: Artifact) -> Facts:
        """Read JUnit reports: which tests of this line ran, and which failed."""
        wanted = _names(artifact, line)
        ran, failed = 0, []
        for path in paths:
            for case in ElementTree.fromstring(path.read_bytes()).iter("testcase"):  # noqa: S314 - one's own file
                name = f"{case.get('classname', '')}::{case.get('name', '')}"
                if not any(name.startswith(part) or f".{part}" in name for part in wanted):
                    continue
                if case.find("skipped") is None:
                    ran += 1
                if case.find("failure") is not None or case.find("error") is not None:
                    failed.append(name)
        return {"tests": ran, "failed": failed, "looked_for": list(wanted)}

    return read


def read_advisories(paths: Sequence[Path], _artifact: Artifact) -> Facts:
    """Read reports of `pip-audit --format json`; the age is that of the oldest file."""
    known: dict[str, str] = {}
    holes = []
    for path in paths:
        for package in json.loads(path.read_bytes())["dependencies"]:
            if "version" in package:
                known[re.sub(r"[-_.]+", "-", package["name"]).lower()] = package["version"].partition("+")[0]
            holes += [f"{package['name']} {hole['id']}" for hole in package.get("vulns", ())]
    age = max(time() - path.stat().st_mtime for path in paths) / DAY
    return {"packages": len(known), "versions": known, "holes": holes, "age_days": max(age, 0.0)}


def read_second_training(paths: Sequence[Path], artifact: Artifact) -> Facts:
    """Compare with another artifact: the same recipe, rows and seed, and what came of them."""
    if len(paths) > 1:
        raise ValueError("one artifact is compared with")
    other = open_artifact(paths[0])
    ours, theirs = artifact.manifest.provenance, other.manifest.provenance
    inputs = ("recipe_sha256", "data_fingerprint", "seed", "packages", "trained_on")
    differing = [name for name in inputs if getattr(ours, name) != getattr(theirs, name)]
    made = [name for name in artifact.files if name in (ONNX, WEIGHTS, GOLDEN) or name.startswith(ENCODER)]
    return {
        "other": other.digest,
        "same_run": other.digest == artifact.digest or ours.created_at == theirs.created_at,
        "differing_inputs": differing,
        "files": made,
        "differing_files": [name for name in made if other.files.get(name) != artifact.files[name]],
        "largest_difference": _golden_gap(artifact, other),
    }


def read_comparison(paths: Sequence[Path], artifact: Artifact) -> Facts:
    """Read the `compare.json` of this artifact and the one that it would replace."""
    if len(paths) > 1:
        raise ValueError("one comparison is read")
    found = Comparison.model_validate_json(paths[0].read_bytes())
    if artifact.digest not in (found.a.digest, found.b.digest):
        raise ValueError("it compares two other artifacts")
    is_first = found.a.digest == artifact.digest
    return {
        "verdict": found.verdict if is_first else TURNED.get(found.verdict, found.verdict),
        "other": (found.b if is_first else found.a).artifact,
        "sentence": found.sentences[0],
        "data_fingerprint": found.a.data_fingerprint,
    }


def _golden_gap(artifact: Artifact, other: Artifact) -> float:
    """Return the largest difference in probability on the golden samples that both hold; 1 where they differ."""
    sides = [[json.loads(line) for line in a.files[GOLDEN].splitlines()] for a in (artifact, other)]
    if [line["sample"] for line in sides[0]] != [line["sample"] for line in sides[1]]:
        return 1.0
    first, second = (
        probability(
            np.array([line["outputs"][decision_of(a.manifest.heads).name] for line in side]),
            a.manifest.calibrated.temperature,
        )
        for a, side in zip((artifact, other), sides, strict=True)
    )
    return float(np.abs(first - second).max())


READERS: Mapping[str, ReadFacts] = {
    "D7": read_coverage,
    "I1": read_second_training,
    "I2": _read_tests("I2"),
    "I3": _read_tests("I3"),
    "I4": read_comparison,
    "O1": read_advisories,
}
WANTED: Mapping[str, str] = {
    "D7": "a report of `coverage json`",
    "I1": "another artifact",
    "I2": "a JUnit report",
    "I3": "a JUnit report",
    "I4": "the compare.json of this artifact and another",
    "O1": "a report of `pip-audit --format json`",
}


def read_histories(run: Path) -> Facts | None:
    """Read the training histories below a run's folder: whether each stage's loss fell and stayed a number."""
    stages = [_stage(path, run) for path in sorted((run / "models").rglob(HISTORY))]
    return {"stages": stages} if stages else None


def _stage(path: Path, run: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    losses = [float(line["val_loss"]) for line in lines if line.get("val_loss")]
    finite = bool(losses) and all(map(math.isfinite, losses))
    name = path.parent.relative_to(run / "models").as_posix()
    fell = len(losses) < 2 or min(losses[1:]) < losses[0]
    return {"name": name, "evaluations": len(losses), "finite": finite, "fell": fell}
