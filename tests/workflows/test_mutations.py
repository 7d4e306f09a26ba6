"""Every condition of the scorecard that a program can look at is broken on purpose: that line fails, no other does."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from tocsin.audit.gates import TITLES, Gate
from tocsin.audit.readiness import promises
from tocsin.audit.readiness.facts import Known, Measurement
from tocsin.audit.readiness.lines import TESTS, Making, make_lines
from tocsin.data.sources import Reading, read
from tocsin.workflows.readiness import drills
from tocsin.workflows.readiness.drills import drill_redaction
from tocsin.workflows.readiness.evidence import read_evidence
from tocsin.workflows.readiness.importance import measure_importance
from tocsin.workflows.readiness.ready import find_records, measure
from tocsin.workflows.readiness.scoring import know_artifact
from workflows.broken_models import Deaf, Rare
from workflows.healthy import Healthy, speaking_two_languages, train_again
from workflows.mutations import MUTATIONS, judge, slow_model
from workflows.reference_run import Reference, inside, write_reports


@pytest.fixture(scope="module")
def healthy(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Healthy:
    folder = tmp_path_factory.mktemp("healthy")
    artifact, predictor = reference.artifact(), reference.predictor()
    data = read([reference.data], predictor.schema, Reading(max_bad_rows=0.05))
    reports = [*write_reports(folder, artifact), f"I1={train_again(artifact, folder / 'again')}"]
    with inside(reference.folder):
        records = find_records(reference.path, artifact)
    facts = read_evidence(reports, artifact) | records
    measured = measure(predictor, data, 0, lambda message: None)
    measured |= {topic: Measurement(found, 0.0) for topic, found in facts.items()}
    known = know_artifact(artifact, measured)
    known = speaking_two_languages(known)
    return Healthy(known, predictor, data, reports, folder, reference.path.parent)


def status(known: Known, gates: Mapping[str, str] | None = None) -> dict[str, str]:
    shown = [
        Gate(name, TITLES[name], decided, "seen")
        for name, decided in (dict.fromkeys(TITLES, "passed") if gates is None else gates).items()
    ]
    return {line.id: line.status for line in make_lines(known, Making("test", None, shown))}


LATER = {"M2", "M3", "M4", "I6", "O2", "O4", "O6", "O7", "C32"}
"""What later work makes possible."""


def test_nothing_fails_on_the_healthy_run(healthy: Healthy) -> None:
    found = status(healthy.known)
    assert {name for name, s in found.items() if s == "not yet"} == LATER
    assert all(s == "passed" for name, s in found.items() if name not in LATER)


@pytest.mark.parametrize(("lines", "break_it"), MUTATIONS, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_broken_fails_and_nothing_else(
    healthy: Healthy, lines: set[str], break_it: Callable[[Healthy], Known]
) -> None:
    before, after = status(healthy.known), status(break_it(healthy))
    assert {name for name in after if after[name] == "failed"} == lines
    assert {name for name in after if after[name] != before[name]} == lines


def test_a_slow_model_fails_on_latency_alone(healthy: Healthy, monkeypatch: pytest.MonkeyPatch) -> None:
    after = status(slow_model(healthy, monkeypatch))
    assert {name for name in after if after[name] == "failed"} == {"P65"}


def test_a_model_no_better_than_guessing_fails_both_where_it_is_asked(healthy: Healthy) -> None:
    """C31 and I4 ask the same of two lists: the source systems' and ours."""
    after = status(healthy.evaluated(lambda report, primary: judge(report, "majority", "no evidence")))
    assert {name for name in after if after[name] == "failed"} == {"I4", "C31"}


@pytest.mark.parametrize("gate", TITLES)
def test_a_gate_that_failed_is_shown_as_failed(healthy: Healthy, gate: str) -> None:
    gates = dict.fromkeys(TITLES, "passed") | {gate: "failed"}
    after = status(healthy.known, gates)
    assert {name for name in after if after[name] == "failed"} == {gate}


def test_a_gate_that_nobody_checked_has_not_passed(healthy: Healthy) -> None:
    after = status(healthy.known, dict.fromkeys(list(TITLES)[:5], "not checked"))
    assert {after[name] for name in TITLES} == {"not yet"}


def test_every_line_that_can_fail_is_broken_here() -> None:
    named = {c.id for checks in TESTS.values() for c in checks} | {c.id for c in promises.CHECKS}
    broken = set().union(*(lines for lines, _ in MUTATIONS)) | {"P65", "C31"}
    assert broken == named - LATER
    assert sum(len(checks) for checks in TESTS.values()) == 28


def test_a_line_without_evidence_is_not_yet(healthy: Healthy) -> None:
    """Nothing measured, nothing given: no line that needs it passes, and none fails."""
    bare = replace(healthy.known, measured={})
    after = status(bare)
    assert "failed" not in after.values()
    need = {"D2", "D3", "D5", "D6", "D7", "I1", "I2", "I3", "I5", "I7", "O1", "O5", "P65", "C30", "D24-holes"}
    assert {name for name, s in after.items() if s == "not yet"} == LATER | need


def test_golden_samples_are_too_few_to_call_a_feature_dead(healthy: Healthy) -> None:
    deaf = replace(healthy.predictor, runtime=Deaf(healthy.predictor.runtime, 2))
    found = measure_importance(deaf, None, 0)
    assert found["still"] == [healthy.predictor.encoder.numeric[2]]
    assert status(healthy.measured("importance", found))["D2"] == "not yet"


def test_a_feature_that_matters_in_a_few_rows_is_not_dead(healthy: Healthy) -> None:
    """One row in 300 has it; where it is, it decides."""
    values = np.zeros(len(healthy.data))
    values[::300] = 9e9
    data = replace(healthy.data, columns={**healthy.data.columns, "duration_seconds": values})
    rare = replace(healthy.predictor, runtime=Rare(healthy.predictor.runtime))
    assert measure_importance(rare, data, 0)["dead"] == []
    deaf = replace(healthy.predictor, runtime=Deaf(healthy.predictor.runtime, 0))
    assert measure_importance(deaf, data, 0)["dead"] == ["duration_seconds"]
    constant = replace(data, columns={**data.columns, "duration_seconds": np.zeros(len(data))})
    assert measure_importance(deaf, constant, 0)["dead"] == []


def test_advisories_of_last_year_say_nothing(healthy: Healthy) -> None:
    path = healthy.folder / "old.json"
    path.write_text((healthy.folder / "advisories.json").read_text())
    os.utime(path, (time.time() - 40 * 86_400,) * 2)
    assert status(healthy.given("O1", path))["O1"] == "not yet"


def test_advisories_of_other_versions_say_nothing(healthy: Healthy) -> None:
    value = json.loads((healthy.folder / "advisories.json").read_text())
    value["dependencies"][0]["version"] = "0.0.1"
    path = healthy.folder / "elsewhere.json"
    path.write_text(json.dumps(value))
    assert status(healthy.given("O1", path))["O1"] == "not yet"


def test_the_planted_secrets_are_caught_by_the_drill_itself() -> None:
    """Negative control: a program that prints what it was given leaks all kinds."""
    program = "import json, sys\nfor t in json.load(sys.stdin): sys.stderr.write(t + '\\n' + t + '\\n')"
    before, drills._PROGRAM = drills._PROGRAM, program
    try:
        assert drill_redaction()["leaked"] == list(drills.PLANTED)
    finally:
        drills._PROGRAM = before
