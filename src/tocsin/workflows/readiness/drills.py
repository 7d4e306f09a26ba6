"""Drills: going back to the version before while somebody asks, and secrets on their way into a log."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

from tocsin.artifact.manifest import MANIFEST, METADATA, SIGNATURE
from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.artifact.store import Store
from tocsin.audit.readiness.facts import Facts
from tocsin.core.errors import TocsinError
from tocsin.serve.predictor import Predictor

ALIAS = "champion"
PATIENCE = 60
PLANTED: Mapping[str, str] = {
    "e-mail address": "ada.byron@example.org",
    "IPv4 address": "192.0.2.17",
    "IPv6 address": "2001:db8:85a3::8a2e:370:7334",
    "bearer token": "Bearer q3ZkV9rT1x",
    "password": "password=hunter2hunter2",
    "cloud key": "AKIAABCDEFGHIJKLMNOP",
}
"""What must not be found in a log line: kind -> text. None of it belongs to anybody."""
_SECRETS = {"bearer token": "q3ZkV9rT1x", "password": "hunter2hunter2"}
"""Kinds of which only a part is secret."""
_PROGRAM = """
import json, sys
from tocsin.core.logs import configure
configure("info")
import logging, structlog
for text in json.load(sys.stdin):
    structlog.get_logger("drill").info(f"request from {text} failed", value=text, nested={"deep": [text]})
    logging.getLogger("library").warning("saw %s", text)
"""


def drill_rollback(artifact: Artifact) -> Facts:
    """Promote two versions in a temporary store and go back, while another thread opens and asks all the time."""
    with tempfile.TemporaryDirectory() as folder:
        store, line = Store(Path(folder, "store")), artifact.manifest.detector
        for version in ("1", "2"):
            made = Path(folder, version)
            _reseal(artifact, version, made)
            store.promote(f"{line}:{store.add(made)}", ALIAS)
        asking = _Asking(store, f"{line}@{ALIAS}")
        asking.start()
        asking.wait()
        start = perf_counter()
        error = _go_back(store, line)
        seconds = perf_counter() - start
        asking.finish()
        is_back = store.aliases(line).get(ALIAS) == 1
    counts = {"requests": asking.requests, "failed_requests": asking.failures}
    return {"seconds": seconds, "is_back": is_back, "error": error, **counts}


def _reseal(artifact: Artifact, version: str, folder: Path) -> None:
    """Seal the same model as a version of its own, unsigned: it never leaves the temporary folder."""
    left_out = (MANIFEST, SIGNATURE, METADATA)
    files = {name: content for name, content in artifact.files.items() if name not in left_out}
    seal(folder, artifact.manifest.model_copy(update={"version": version}), files)


def _go_back(store: Store, line: str) -> str:
    try:
        store.rollback(line, ALIAS)
    except TocsinError as error:
        return str(error)
    return ""


class _Asking:
    """A client that opens whatever the alias names and asks it, again and again."""

    def __init__(self, store: Store, reference: str) -> None:
        self.store, self.reference = store, reference
        self.requests = self.failures = 0
        self._answered, self._last = Event(), Event()
        self._thread = Thread(target=self._ask, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until the first answer has come."""
        self._answered.wait(PATIENCE)

    def finish(self) -> None:
        """Stop after two more answers: the second was asked for after the move."""
        for _ in range(2):
            self._answered.clear()
            self._answered.wait(PATIENCE)
        self._last.set()
        self._thread.join(PATIENCE)

    def _ask(self) -> None:
        while not self._last.is_set():
            self.requests += 1
            try:
                predictor = Predictor.load(self.store.open(self.reference))
                predictor.predict(predictor.golden_samples()[:1])
            except TocsinError:
                self.failures += 1
            self._answered.set()


def drill_redaction() -> Facts:
    """Log planted secrets in a process of its own and look for them in what it wrote."""
    command = [sys.executable, "-c", _PROGRAM]
    texts = json.dumps(list(PLANTED.values()))
    done = subprocess.run(command, input=texts, capture_output=True, text=True, timeout=60, check=False)
    written = done.stderr
    leaked = [kind for kind, text in PLANTED.items() if _SECRETS.get(kind, text) in written]
    lines = len(written.splitlines())
    if done.returncode or lines < 2 * len(PLANTED):
        leaked.append("nothing could be seen: the logs were not written")
    return {"planted": list(PLANTED), "leaked": leaked, "lines": lines}
