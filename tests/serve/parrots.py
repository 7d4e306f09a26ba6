"""Artifacts of the parrot, a language model, and a client of an application that can leave early."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from starlette.types import ASGIApp, Message

from serve.toys import toy_artifact, toy_manifest
from tocsin.artifact.manifest import GOLDEN, Manifest
from tocsin.artifact.open import Artifact

bigrams = import_module("tocsin.detectors.parrot.bigrams")

TABLE = {
    "the": "quick",
    "quick": "brown",
    "brown": "fox",
    "tick": "tock",
    "tock": "tick",
    "ein": "Füchs\nlein",
}
OTHER = TABLE | {"brown": "dog"}
GOLDEN_ANSWERS = {"the": " quick brown fox", "tick": " tock tick" * 32, "fox": ""}


def golden_answers(answers: dict[str, str] = GOLDEN_ANSWERS) -> bytes:
    """Worked out by hand, apart from the code that serves."""
    lines = [json.dumps({"sample": {"word": word}, "answer": text}) for word, text in answers.items()]
    return "\n".join(lines).encode() + b"\n"


def parrot_files(table: dict[str, str] = TABLE, golden: bytes | None = None) -> dict[str, bytes]:
    return {bigrams.TABLE: json.dumps(table).encode(), GOLDEN: golden_answers() if golden is None else golden}


def parrot_manifest(**changes: Any) -> Manifest:
    return toy_manifest(**_PARROT | changes)


def parrot_artifact(files: dict[str, bytes] | None = None, **changes: Any) -> Artifact:
    return toy_artifact(parrot_files() if files is None else files, **_PARROT | changes)


_PARROT = {
    "detector": "parrot",
    "name": "parrots",
    "sample": "question",
    "runtime": "chat",
    "inputs": (),
    "outputs": (),
    "heads": (),
}


def events(stream: str) -> list[tuple[str, Any]]:
    """Read server-sent events as (name, parsed data)."""
    found = []
    for block in stream.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


@dataclass
class Client:
    """One request to an application, whose client goes away as soon as `leaves` holds."""

    leaves: Callable[[], bool]
    body: bytes = b""
    status: int = 0
    content: bytes = b""
    _has_asked: bool = False

    async def receive(self) -> Message:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        while not self.leaves():  # noqa: ASYNC110 - other threads bring it about
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.content += message.get("body", b"")

    async def post(self, app: ASGIApp, path: str, body: object) -> None:
        """Send a JSON value and take what comes until the application is through with it."""
        self.body = json.dumps(body).encode()
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "POST", "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "server": ("parrot", 80), "client": ("here", 1),
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())],
        }  # fmt: skip
        await app(scope, self.receive, self.send)
