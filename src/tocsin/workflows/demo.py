"""The main job from end to end on made data: audit, train, evaluate, package, serve a request, report."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.core.durable import write_text
from tocsin.core.errors import TocsinError
from tocsin.core.plugins import load_detector
from tocsin.workflows.training.audit import audit_recipe
from tocsin.workflows.training.made import make_data
from tocsin.workflows.training.train import TrainOptions, train_recipe
from tocsin.workflows.using.stores import Source, make_key_files
from tocsin.workflows.using.verify import verify_artifact

Tell = Callable[[str], None]
START_SECONDS = 60


@dataclass(frozen=True)
class DemoResult:
    """Where to look, and what to type next."""

    report: Path
    artifact: Path
    request: dict[str, Any]
    answer: dict[str, Any]
    next_commands: tuple[str, ...]


def run_demo(detector: str, output: Path, seed: int, tell: Tell) -> DemoResult:
    """Make data and carry it through every step that a user's own data would take."""
    found = load_detector(detector)
    tell(f"1/6 make data (made, not real) for {detector}")
    data = make_data(detector, output, seed)
    recipe = output / "recipe.yaml"
    text = (found.folder / "recipes" / "demo.yaml").read_text(encoding="utf-8")
    write_text(recipe, text)
    sets = [f"data.train=[{json.dumps(str(data))}]", f"output={json.dumps(str(output))}", f"seeds=[{seed}]"]
    tell("2/6 audit")
    for finding in audit_recipe(recipe, sets, tell).findings:
        tell(f"    {finding.severity}, {finding.name}: {finding.message}")
    tell("3/6 train, prove, package")
    private, public = _keys(output)
    result = train_recipe(recipe, sets, TrainOptions(force=True, key=private), tell)
    run = result.runs[0]
    tell("4/6 verify seal and signature, replay golden samples")
    verify_artifact(Source(str(run.artifact), output / "store", public, require_signature=True))
    tell("5/6 serve, and ask")
    request, answer = _ask(detector, run.artifact)
    tell(f"    POST /v1/{detector}/predict -> {json.dumps(answer['verdicts'][0], ensure_ascii=False)[:300]}")
    tell("6/6 report")
    commands = (
        f"tocsin new {detector} my-recipe.yaml      # a complete, commented recipe: put your files under data.train",
        "tocsin audit my-recipe.yaml",
        "tocsin train my-recipe.yaml",
        "tocsin ready runs/my-recipe/seed_42/artifact",
    )
    return DemoResult(run.report, run.artifact, request, answer, commands)


def _keys(output: Path) -> tuple[Path, Path]:
    private, public = output / "keys" / "signing.pem", output / "keys" / "signing.pub.pem"
    return (private, public) if private.exists() else make_key_files(output / "keys")


def _ask(detector: str, artifact: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start the server in a process of its own, send it one golden sample, stop it."""
    first = (artifact / "golden.jsonl").read_text(encoding="utf-8").splitlines()[0]
    sample = json.loads(first)["sample"]
    port = _free_port()
    command = [sys.executable, "-m", "tocsin", "serve", str(artifact), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            _await_ready(server, port)
            return sample, _post(f"http://127.0.0.1:{port}/v1/{detector}/predict", sample)
        finally:
            server.terminate()
            server.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise TocsinError(f"the server did not become ready on port {port}")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), kind)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
        answer: dict[str, Any] = json.load(response)
        return answer
