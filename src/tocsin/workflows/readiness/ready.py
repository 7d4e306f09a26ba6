"""`tocsin ready`: measure, decide, write the scorecard and its page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np

from tocsin.artifact.open import Artifact
from tocsin.audit.readiness.attestations import (
    Attestations,
    merge_attestations,
    parse_attestation,
    parse_attestations,
)
from tocsin.audit.readiness.facts import EVIDENCE, Facts, Known, Measurement
from tocsin.audit.readiness.lines import ATTESTABLE, Making, evidence_bytes
from tocsin.audit.scorecard import BAR, EvidenceFile, Scorecard, find_shortfalls
from tocsin.core.durable import json_bytes, write_bytes, write_json
from tocsin.core.errors import InputError
from tocsin.core.provenance import git_reviewers, git_state
from tocsin.data.dataset import Dataset
from tocsin.serve.predictor import Predictor
from tocsin.workflows.judging.answers import read_rows, unseen_ids
from tocsin.workflows.pages.ready_page import write_page
from tocsin.workflows.readiness.costs import measure_addition, measure_cost
from tocsin.workflows.readiness.drills import drill_redaction, drill_rollback
from tocsin.workflows.readiness.evidence import read_evidence, read_histories
from tocsin.workflows.readiness.importance import measure_importance
from tocsin.workflows.readiness.measurements import (
    measure_extremes,
    measure_latency,
    measure_replay,
    measure_together,
    measure_trace,
    time_facts,
)
from tocsin.workflows.readiness.scoring import decide_gates, know_artifact, score_known
from tocsin.workflows.using.stores import Source

Tell = Callable[[str], None]
ATTESTED = "attestations.json"


@dataclass(frozen=True)
class ReadyOptions:
    """What is given besides the artifact."""

    data: Sequence[str] = ()
    """Labelled rows, for what needs them."""
    layout: str = "auto"
    attest: Sequence[str] = ()
    """`ID=NAME:DATE:STATEMENT`."""
    evidence: Sequence[str] = ()
    """`ID=FILE`, written by other programs."""
    bar: float = BAR
    seed: int = 42

    @classmethod
    def of(
        cls,
        data: Sequence[str] | None,
        layout: str,
        attest: Sequence[str] | None,
        evidence: Sequence[str] | None,
        bar: float | None,
    ) -> Self:
        """Make the options of a command line, where what was not given is None."""
        return cls(data or (), layout, attest or (), evidence or (), BAR if bar is None else bar)


@dataclass(frozen=True)
class ReadyResult:
    """The scorecard and what it says."""

    scorecard: Scorecard
    bar: float
    shortfalls: tuple[str, ...]
    """What keeps the artifact from being ready; empty where it is."""
    folder: Path | None = None
    """Where scorecard, page and evidence were written."""


def check_ready(source: Source, options: ReadyOptions, output: Path | None, tell: Tell) -> ReadyResult:
    """Judge an artifact and write `scorecard.json`, `ready.html` and `evidence/`: beside it unless told where."""
    path = source.path()
    folder = _beside(path, ".ready") if output is None else output
    known, stated, result = judge_artifact(source, options, tell)
    for topic in known.measured:
        write_bytes(folder / EVIDENCE / f"{topic}.json", evidence_bytes(known, topic))
    if stated.attestations:
        write_json(folder / EVIDENCE / ATTESTED, stated)
    write_json(folder / "scorecard.json", result.scorecard)
    write_page(folder / "ready.html", known, result.scorecard, result.bar)
    return replace(result, folder=folder)


def judge_artifact(
    source: Source, options: ReadyOptions, tell: Tell
) -> tuple[Known, Attestations, ReadyResult]:
    """Measure and decide; writes nothing but new attestations. Refuses an artifact that does not verify."""
    path, predictor = source.path(), source.predictor()
    artifact = predictor.artifact
    known = know_artifact(artifact, {})
    gates = decide_gates(known)  # before the minutes of measuring: it refuses an audit of another version
    given = read_evidence(options.evidence, artifact)
    dataset, note = _read(predictor, options)
    stated = attest(path, artifact.digest, options.attest)
    measured = measure(predictor, dataset, options.seed, tell)
    if note:
        seen = measured["importance"]
        measured["importance"] = replace(seen, facts={**seen.facts, "note": note})
    measured |= {
        name: Measurement(facts, 0.0) for name, facts in (given | find_records(path, artifact)).items()
    }
    known = replace(known, measured=measured)
    making = Making(
        command=" ".join(["tocsin ready", source.name, *(["--data", *options.data] if options.data else [])]),
        commit=git_state()[0],
        gates=gates,
        attestations=[a for a in stated.attestations if a.artifact == artifact.digest],
        attested=EvidenceFile(file=EVIDENCE + ATTESTED, sha256=sha256(json_bytes(stated)).hexdigest()),
    )
    card = score_known(known, making, artifact.digest)
    return known, stated, ReadyResult(card, options.bar, find_shortfalls(card, options.bar))


def measure(predictor: Predictor, data: Dataset | None, seed: int, tell: Tell) -> dict[str, Measurement]:
    """Run everything that a loaded model can be seen to do: topic -> what was seen."""
    acts: Mapping[str, Callable[[], Facts]] = {
        "latency": lambda: measure_latency(predictor),
        "trace": lambda: measure_trace(predictor),
        "replay": lambda: measure_replay(predictor),
        "together": lambda: measure_together(predictor),
        "extremes": lambda: measure_extremes(predictor),
        "cost": lambda: measure_cost(predictor),
        "addition": lambda: measure_addition(predictor),
        "importance": lambda: measure_importance(predictor, data, seed),
        "rollback": lambda: drill_rollback(predictor.artifact),
        "redaction": drill_redaction,
    }
    found = {}
    for topic, act in acts.items():
        tell(f"measuring: {topic}")
        found[topic] = time_facts(act)
    return found


def find_records(path: Path, artifact: Artifact) -> dict[str, Facts]:
    """Return what lies beside the artifact and in its repository: training histories, who reviewed the commit."""
    commit = artifact.manifest.provenance.git_commit
    found = {"training": read_histories(path.parent)}
    found["review"] = {"commit": commit, "reviewed_by": git_reviewers(commit)} if commit else None
    return {topic: facts for topic, facts in found.items() if facts is not None}


def attest(path: Path, digest: str, given: Sequence[str]) -> Attestations:
    """Add statements to the file beside an artifact, and return all that are in it."""
    file = _beside(path, f".{ATTESTED}")
    old = parse_attestations(file.read_bytes(), str(file)) if file.exists() else Attestations()
    today = datetime.now(UTC).date()
    new = [parse_attestation(text, digest, ATTESTABLE, today) for text in given]
    merged = merge_attestations(old, new)
    if new:
        write_json(file, merged)
    return merged


def _beside(path: Path, ending: str) -> Path:
    path = path.resolve()
    return path.with_name(path.name + ending)


def _read(predictor: Predictor, options: ReadyOptions) -> tuple[Dataset | None, str]:
    """Return the rows of --data that the model was not trained on, as far as is known, and a note on that."""
    if not options.data:
        return None, ""
    rows = read_rows(predictor, options.data, options.layout)
    unseen, note = unseen_ids(predictor, rows, options.data)
    rows = rows.take(np.flatnonzero([key in unseen for key in rows.ids]))
    if not (rows.label >= 0).any():
        raise InputError(f"--data {', '.join(options.data)}: no labelled row to judge features by")
    return rows, f"the model {note}" if note else ""
