"""A healthy run, trained once a session: committed, signed, ready."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tocsin.artifact.open import Artifact, open_artifact
from tocsin.detectors.intrusion.demo import make
from tocsin.serve.predictor import Predictor
from tocsin.workflows.training.train import TrainOptions, train_recipe
from tocsin.workflows.using.stores import make_key_files

RECIPE = """
detector: intrusion
name: reference
output: runs
hardware: cpu
data:
  sample: flow
  train: [made-flows.csv]
  sources: {made-flows.csv: {licence: Apache-2.0, origin: made}}
model: {width: 8, layers: 1, heads: 1, feedforward: 8}
stages: {pretrain: {length: 0 steps}, finetune: {length: 40 steps, batch_size: 128}}
evaluation: {max_false_positive_rate: 0.05, resamples: 100}
export: {ship: lightgbm}
"""
GIT = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]


@dataclass(frozen=True)
class Reference:
    """Where the run is."""

    folder: Path
    path: Path
    public_key: Path
    data: Path

    def artifact(self) -> Artifact:
        return open_artifact(self.path, public_key=self.public_key)

    def predictor(self) -> Predictor:
        return Predictor.load(self.artifact())


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def commit(folder: Path, message: str) -> None:
    for command in (["git", "init", "-q"], [*GIT, "add", "-A"], [*GIT, "commit", "-qm", message]):
        subprocess.run(command, cwd=folder, check=True)


def train_reference(folder: Path) -> Reference:
    """Train a small run in a repository of its own, whose one commit somebody reviewed."""
    data = make(folder, 0, rows=6000)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / ".gitignore").write_text("runs/\nkeys/\n*.csv\n")
    commit(folder, "The recipe\n\nReviewed-by: Grace Hopper <grace@example.org>")
    private, public = make_key_files(folder / "keys")
    with inside(folder):
        options = TrainOptions(variants=False, key=private)
        run = train_recipe(Path("recipe.yaml"), [], options, lambda message: None).runs[0]
    return Reference(folder, folder / run.artifact, public, data)


def write_reports(folder: Path, artifact: Artifact) -> list[str]:
    """Write what coverage, pytest and pip-audit would, all well, and return the options that give them."""
    parts = json.loads(artifact.files["bom.cdx.json"])["components"]
    found = [{"name": p["name"], "version": p["version"].partition("+")[0], "vulns": []} for p in parts]
    (folder / "advisories.json").write_text(json.dumps({"dependencies": found, "fixes": []}))
    covered = {"summary": {"num_statements": 200, "covered_lines": 196}}
    (folder / "coverage.json").write_text(json.dumps({"files": {"src/tocsin/features/tabular.py": covered}}))
    cases = "".join(
        f'<testcase classname="{name}" name="test_it"/>'
        for name in ("tests.detectors.intrusion.test_model", "tests.end_to_end.test_intrusion")
    )
    (folder / "junit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    names = {"D7": "coverage.json", "I2": "junit.xml", "I3": "junit.xml", "O1": "advisories.json"}
    return [f"{line}={folder / name}" for line, name in names.items()]
