"""What the executors know about an artifact, and how they answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from tocsin.artifact.manifest import RECIPE, Manifest
from tocsin.core.types import Sample
from tocsin.core.yaml_text import parse_mapping

SEALED, EVIDENCE = "artifact/", "evidence/"
"""What the names of sealed files and of measured evidence begin with."""

Facts = Mapping[str, Any]
NONE: Facts = MappingProxyType({})


@dataclass(frozen=True)
class Measurement:
    """What was seen by running something; it becomes an evidence file."""

    facts: Facts
    seconds: float


@dataclass(frozen=True)
class Known:
    """All that is known about one artifact when it is judged."""

    manifest: Manifest
    files: Mapping[str, bytes]
    """Sealed path -> content."""
    sample: type[Sample]
    denied: Mapping[str, str]
    """Columns of the publishers' files that must never be features, with the reason."""
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    """Topic -> what was measured about it; a topic that is not there was not measured."""
    is_signed: bool = False
    signed_by: str | None = None
    """Fingerprint of the key that the signature was checked with; None where it was not checked."""

    @cached_property
    def evaluation(self) -> Facts:
        """`evaluation.json`, empty where there is none."""
        return self.sealed("evaluation.json")

    @cached_property
    def primary(self) -> Facts:
        """The evaluation of the model that is served, empty where there is none."""
        found: Facts = self.evaluation.get("models", {}).get(self.evaluation.get("primary"), {})
        return found

    @cached_property
    def audit(self) -> Facts:
        """`audit.json`, empty where there is none."""
        return self.sealed("audit.json")

    @cached_property
    def recipe(self) -> Facts:
        """The resolved recipe as it was sealed: keys that recipes gained since are not in it."""
        found: Facts = parse_mapping(self.files[RECIPE].decode(), RECIPE)[0]
        return found

    @cached_property
    def golden(self) -> list[Facts]:
        """The raw golden samples."""
        return [json.loads(line)["sample"] for line in self.files.get("golden.jsonl", b"").splitlines()]

    def sealed(self, name: str) -> Facts:
        """Read a sealed JSON file; empty where there is none."""
        found: Facts = json.loads(self.files.get(name, b"{}"))
        return found

    def facts(self, topic: str) -> Facts | None:
        """Return what was measured about a topic, or None."""
        found = self.measured.get(topic)
        return None if found is None else found.facts


@dataclass(frozen=True)
class Answer:
    """What an executor found."""

    status: Literal["passed", "failed", "not yet"]
    message: str
    sources: tuple[str, ...] = ()
    """Topics and sealed files that show it."""
    facts: Facts = field(default_factory=dict)
    score: float = 0.0


Executor = Callable[[Known], Answer]


@dataclass(frozen=True)
class Check:
    """A line of the scorecard with the function that decides it."""

    id: str
    title: str
    execute: Executor


def passed(message: str, *sources: str, score: float = 1.0, facts: Facts = NONE) -> Answer:
    """Answer that the condition holds; with a score of 0.5, that it holds in part."""
    return Answer("passed", message, sources, facts, score)


def failed(message: str, *sources: str, facts: Facts = NONE) -> Answer:
    """Answer that the condition does not hold."""
    return Answer("failed", message, sources, facts)


def not_yet(message: str, *sources: str, facts: Facts = NONE) -> Answer:
    """Answer that nothing shows whether the condition holds."""
    return Answer("not yet", message, sources, facts)


def decide(problems: Sequence[str], good: str, *sources: str, facts: Facts = NONE) -> Answer:
    """Pass where there is no problem, else fail with all of them."""
    if problems:
        return failed("; ".join(problems), *sources, facts=facts)
    return passed(good, *sources, facts=facts)


def later(message: str) -> Executor:
    """Return an executor for what no part of tocsin can show yet."""
    return lambda _: not_yet(message)
