"""What a detector is: the one axis along which tocsin grows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tocsin.core.encoder import Decode, Encoder
from tocsin.core.errors import InputError, did_you_mean
from tocsin.core.kinds import Kind
from tocsin.core.schema import Row, Schema
from tocsin.core.types import Files, Place

RuntimeName = Literal["onnx", "chat"]
"""What serves an artifact; `serve.service.RUNTIMES` says which class that is."""


@dataclass(frozen=True)
class Target:
    """One thing that was found in what a user asked to scan: a message of a mailbox, a row of a log."""

    place: Place
    """Where it lies: `inbox.mbox#12`."""
    fields: Row
    """The fields of the sample."""
    facts: Row = field(default_factory=dict)
    """JSON values that people want to see and the model does not: links, attachments, what was cut."""
    remarks: tuple[str, ...] = ()
    """One sentence per notable fact, most serious first."""
    ecs: Row = field(default_factory=dict)
    """What it is in the field sets of the Elastic Common Schema, nested: `{"email": {"subject": ...}}`."""


@dataclass(frozen=True)
class Detector:
    """One kind of model with everything that makes it different from the others.

    A module `verbs.py` beside it, with `verbs = typer.Typer()`, adds verbs to the program.

    Example: `src/tocsin/detectors/intrusion/__init__.py` is the shortest.
    """

    name: str
    summary: str
    kind: Kind
    """What it answers with, and so what it must prove."""
    schemas: Mapping[str, Schema]
    config: type[BaseModel]
    """The `model:` section of a recipe."""
    encoder: Callable[[BaseModel, Schema], Encoder]
    """(model config, schema) -> an encoder that is not fitted yet."""
    load_encoder: Callable[[Files], Encoder]
    decode: Decode
    plan: str
    """`module:function`, imported only by training: (PlanContext) -> Plan."""
    stages: tuple[str, ...]
    folder: Path
    demo: str
    """`module:function`: (folder, seed) -> path of a CSV file with made data."""
    runtime: RuntimeName = "onnx"
    answer: str | None = None
    """`module:function` of the runtime `chat`: (an artifact's files) -> LanguageModel, see `core.language`."""
    scan: str | None = None
    """`module:function`: (path, or binary stream of what came by stdin) -> iterator of Target. It yields what it
    can read, whatever the bytes are, and raises InputError only where there is nothing to be read."""
    scans: str = ""
    """What `scan` reads, for the help: `mail as .eml, mbox or Maildir`."""
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What proves it, line of the scorecard -> names: `I2` and `I3` what the names of its own tests and of its
    end-to-end tests begin with, `D7` folders of the code that makes its features."""

    def schema(self, name: str) -> Schema:
        """Return the schema of a sample by its name; InputError tells the nearest."""
        if name not in self.schemas:
            known = list(self.schemas)
            raise InputError(
                f"detector {self.name!r} has no sample {name!r}{did_you_mean(name, known)} "
                f"(there are: {', '.join(known)})"
            )
        return self.schemas[name]
