"""Every condition of the scorecard that a program can look at is broken on purpose: that line fails, no other does."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import AfterValidator, create_model

from tocsin.artifact.manifest import Manifest
from tocsin.artifact.open import Artifact
from tocsin.artifact.seal import seal
from tocsin.artifact.store import Store
from tocsin.audit.gates import TITLES, Gate
from tocsin.audit.readiness import criteria
from tocsin.audit.readiness.facts import Known, Measurement
from tocsin.audit.readiness.lines import TESTS, Making, make_lines
from tocsin.core.detector import Calibration
from tocsin.core.durable import json_bytes
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays
from tocsin.data.dataset import Dataset
from tocsin.data.sources import Reading, read
from tocsin.serve.predictor import Predictor
from tocsin.workflows import drills
from tocsin.workflows.costs import measure_addition, measure_cost
from tocsin.workflows.drills import drill_redaction, drill_rollback
from tocsin.workflows.evidence import read_evidence, read_histories
from tocsin.workflows.importance import measure_importance
from tocsin.workflows.measurements import (
    measure_extremes,
    measure_latency,
    measure_replay,
    measure_together,
    measure_trace,
)
from tocsin.workflows.ready import find_records, measure
from tocsin.workflows.scoring import know_artifact
from workflows.reference_run import Reference, inside, write_reports


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


# Data


def other_schema(h: Healthy) -> Known:
    return h.sealed("schema.json", lambda schema: schema["properties"].pop("service"))


def lax_schema(h: Healthy) -> Known:
    """The code reads requests with a class that lets everything through."""
    fields: dict[str, Any] = dict.fromkeys(h.known.sample.model_fields, (Any, None))
    lax = create_model("Flow", __config__={"extra": "allow"}, **fields)
    files = {**h.known.files, "schema.json": json_bytes(lax.model_json_schema())}
    return replace(h.known, files=files, sample=lax)


class Deaf:
    """A model that never hears one of its inputs."""

    def __init__(self, runtime: Any, column: int) -> None:
        self.runtime, self.column = runtime, column

    def run(self, arrays: Arrays) -> Arrays:
        numeric, state = arrays["numeric"].copy(), arrays["state"].copy()
        numeric[:, self.column], state[:, self.column] = 0, 0
        return self.runtime.run({**arrays, "numeric": numeric, "state": state})


def dead_feature(h: Healthy) -> Known:
    deaf = replace(h.predictor, runtime=Deaf(h.predictor.runtime, 2))
    return h.measured("importance", measure_importance(deaf, h.data, 0))


class Misled:
    """A model that is pulled to the wrong side by one of its inputs."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        return {**outputs, "logit": outputs["logit"] - 3 * arrays["numeric"][:, 0]}


def harmful_feature(h: Healthy) -> Known:
    """The first number is made to say the opposite of the label; the model believes it."""
    label = np.where(h.data.label == 1, 5000.0, 0.0)
    columns = {**h.data.columns, "duration_seconds": label}
    misled = replace(h.predictor, runtime=Misled(h.predictor.runtime))
    return h.measured("importance", measure_importance(misled, replace(h.data, columns=columns), 0))


def slow(value: float | None) -> float | None:
    time.sleep(0.012)
    return value


def slow_feature(h: Healthy) -> Known:
    slowed = create_model(
        "Flow",
        __base__=h.predictor.schema.sample,
        duration_seconds=(Annotated[float | None, AfterValidator(slow)], ...),
    )
    base = [s.model_dump() for s in h.predictor.golden_samples()[:3]]
    few = replace(h.predictor, schema=replace(h.predictor.schema, sample=slowed))
    few.__dict__["_golden"] = [type("G", (), {"sample": slowed.model_validate(s)})() for s in base]
    return h.measured("cost", measure_cost(few))


def named_like_an_identifier(h: Healthy) -> Known:
    kind = create_model("Flow", __base__=h.known.sample, source_ip=(str | None, None))
    files = {**h.known.files, "schema.json": json_bytes(kind.model_json_schema())}
    return replace(h.known, sample=kind, files=files)


def denied_column(h: Healthy) -> Known:
    return replace(h.known, denied={**h.known.denied, "Duration Seconds": "the clock gives the label away"})


def private_value(h: Healthy) -> Known:
    return h.sealed("profile.json", lambda p: p["columns"]["service"]["top"].update({"ada@example.org": 0.1}))


def leaking_log(h: Healthy) -> Known:
    """The program that logs forgets to clean."""
    program = drills._PROGRAM
    drills._PROGRAM = program.replace(
        "from tocsin.core.logs import configure", "configure = lambda level: None"
    )
    try:
        found = drill_redaction()
    finally:
        drills._PROGRAM = program
    return h.measured("redaction", found)


def unread_field(h: Healthy) -> Known:
    """An encoder that keeps the fields that it once had."""
    narrow = replace(
        h.predictor.detector,
        encoder=lambda config, schema: h.predictor.detector.encoder(config, h.predictor.schema),
    )
    return h.measured("addition", measure_addition(replace(h.predictor, detector=narrow)))


def untested_features(h: Healthy) -> Known:
    path = h.folder / "low.json"
    covered = {"summary": {"num_statements": 200, "covered_lines": 120}}
    path.write_text(json.dumps({"files": {"src/tocsin/features/tabular.py": covered}}))
    return h.given("D7", path)


# Model


def changed_recipe(h: Healthy) -> Known:
    text = h.known.files["recipe.yaml"].replace(b"batch_size: 128", b"batch_size: 129")
    return replace(h.known, files={**h.known.files, "recipe.yaml": text})


def dirty_tree(h: Healthy) -> Known:
    return h.stated(provenance=h.known.manifest.provenance.model_copy(update={"git_dirty": True}))


def judge(report: dict, other: str, verdict: str) -> None:
    next(c for c in report["comparisons"] if (c["other"], c["metric"]) == (other, "roc_auc"))["verdict"] = (
        verdict
    )


def better_baseline(h: Healthy) -> Known:
    return h.evaluated(lambda report, primary: judge(report, "logistic", "worse"))


def one_of(primary: dict, by: str) -> dict:
    return next(s for s in primary["slices"] if s["by"] == by and s["positives"] and not s["too_few"])


def weak_slice(h: Healthy) -> Known:
    return h.evaluated(lambda report, primary: one_of(primary, "category")["recall"].update(value=0.2))


def unequal_languages(h: Healthy) -> Known:
    """0.15 less for one language: above the floor, beyond the gap."""

    def change(report: dict, primary: dict) -> None:
        recall = one_of(primary, "language")["recall"]
        recall["value"] -= 0.15

    return h.evaluated(change)


# Infrastructure


def other_weights(h: Healthy) -> Known:
    """The second training gave another model."""
    artifact = h.predictor.artifact
    encoder = artifact.files["encoder/encoder.json"].replace(b"tabular", b"tabular ")
    other = replace(artifact, files={**artifact.files, "encoder/encoder.json": encoder})
    return h.given("I1", train_again(other, h.folder / "differs"))


def the_same_artifact(h: Healthy) -> Known:
    return h.given("I1", h.run / "artifact")


def failing_test(h: Healthy, line: str, name: str) -> Known:
    path = h.folder / f"failing-{line}.xml"
    case = f'<testcase classname="{name}" name="test_it"><failure message="no"/></testcase>'
    path.write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")
    return h.given(line, path)


def no_test(h: Healthy) -> Known:
    path = h.folder / "other.xml"
    path.write_text('<testsuite><testcase classname="tests.core.test_types" name="test_it"/></testsuite>')
    return h.given("I3", path)


def too_many_alarms(h: Healthy) -> Known:
    found = {"value": 0.2, "low": 0.15, "high": 0.25}
    return h.evaluated(lambda report, primary: primary["metrics"].update(false_positive_rate=found))


def worse_than_one_column(h: Healthy) -> Known:
    return h.evaluated(lambda report, primary: judge(report, "stump", "worse"))


def worse_than_the_champion(h: Healthy) -> Known:
    facts = {
        "verdict": "worse",
        "other": "intrusion@champion",
        "sentence": "A is worse than B",
        "data_fingerprint": "",
    }
    return h.measured("I4", facts)


def forgetful_decoder(h: Healthy) -> Known:
    """The decoder answers otherwise every time that it is asked."""
    calls = iter(np.linspace(0.1, 0.9, 50))
    decode = h.predictor.detector.decode

    def moody(outputs: Arrays, calibration: Calibration, artifact: str) -> list:
        return [
            v.model_copy(update={"probability": float(next(calls))})
            for v in decode(outputs, calibration, artifact)
        ]

    return h.measured(
        "trace", measure_trace(replace(h.predictor, detector=replace(h.predictor.detector, decode=moody)))
    )


def drill_with(h: Healthy, rollback: Callable[..., Any]) -> Known:
    before, Store.rollback = Store.rollback, rollback  # type: ignore[method-assign]
    try:
        return h.measured("rollback", drill_rollback(h.predictor.artifact))
    finally:
        Store.rollback = before  # type: ignore[method-assign]


def stuck_rollback(h: Healthy) -> Known:
    def refuse(store: Store, line: str, alias: str) -> None:
        raise InputError("it cannot go back")

    return drill_with(h, refuse)


def idle_rollback(h: Healthy) -> Known:
    return drill_with(h, lambda store, line, alias: None)


def losing_rollback(h: Healthy) -> Known:
    """It takes the version away that is being asked."""

    def lose(store: Store, line: str, alias: str) -> None:
        path = next((store.root / line / "aliases" / alias).glob("2.json"))
        content = path.read_bytes()
        path.write_text("{")
        time.sleep(0.3)
        path.write_bytes(content)
        original(store, line, alias)

    original = Store.rollback
    return drill_with(h, lose)


# Monitoring


def known_hole(h: Healthy) -> dict:
    value = json.loads((h.folder / "advisories.json").read_text())
    value["dependencies"][0]["vulns"] = [{"id": "PYSEC-2026-1", "fix_versions": []}]
    return value


def hole(h: Healthy) -> Known:
    path = h.folder / "hole.json"
    path.write_text(json.dumps(known_hole(h)))
    return h.given("O1", path)


def empty_advisories(h: Healthy) -> Known:
    path = h.folder / "empty.json"
    path.write_text(json.dumps({"dependencies": []}))
    return h.given("O1", path)


def nothing_compared(h: Healthy) -> Known:
    return h.sealed("skew.json", lambda record: record.update(rows=0))


class Skewed:
    """An encoder that scales otherwise than in training."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def encode(self, columns: Any) -> Arrays:
        arrays = self.encoder.encode(columns)
        return {**arrays, "numeric": arrays["numeric"] * np.float32(1.5)}


def skewed_serving(h: Healthy) -> Known:
    return h.measured("replay", measure_replay(replace(h.predictor, encoder=Skewed(h.predictor.encoder))))


class Fragile:
    """A model that breaks where something is missing."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        broken = (arrays["state"] > 0).sum(axis=1) > 8
        return {**outputs, "logit": np.where(broken, np.float32(np.nan), outputs["logit"])}


def fragile_model(h: Healthy) -> Known:
    return h.measured(
        "extremes", measure_extremes(replace(h.predictor, runtime=Fragile(h.predictor.runtime)))
    )


class Sociable:
    """A model whose answer moves with the rows beside it."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        outputs = self.runtime.run(arrays)
        return {**outputs, "logit": outputs["logit"] + np.float32(0.01) * arrays["numeric"].mean()}


def sociable_model(h: Healthy) -> Known:
    return h.measured(
        "together", measure_together(replace(h.predictor, runtime=Sociable(h.predictor.runtime)))
    )


# Criteria


def inaccurate(h: Healthy) -> Known:
    return h.evaluated(lambda report, primary: primary["metrics"]["accuracy"].update(value=0.7))


def miscalibrated(h: Healthy) -> Known:
    found = {"value": 0.06, "low": 0.04, "high": 0.08}
    return h.evaluated(lambda report, primary: primary["metrics"].update(ece_debiased=found))


def audit_error(h: Healthy) -> Known:
    finding = {"severity": "error", "name": "labels", "message": "", "rows": [], "action": ""}
    return h.sealed("audit.json", lambda report: report["findings"].append(finding))


class Tired:
    """A model that takes its time."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        time.sleep(0.101 if len(arrays["numeric"]) == 1 else 0.0)
        return self.runtime.run(arrays)


def slow_model(h: Healthy, monkeypatch: pytest.MonkeyPatch) -> Known:
    monkeypatch.setattr("tocsin.workflows.measurements.CALLS", 10)
    monkeypatch.setattr("tocsin.workflows.measurements.ROUNDS", 1)
    monkeypatch.setattr("tocsin.workflows.bench.WARM_UP", 1)
    return h.measured("latency", measure_latency(replace(h.predictor, runtime=Tired(h.predictor.runtime))))


def few_examples(h: Healthy) -> Known:
    return h.stated(data=h.known.manifest.data | {"rows": 4999})


def rising_loss(h: Healthy) -> Known:
    run = h.folder / "rising"
    stage = run / "models" / "model" / "finetune"
    stage.mkdir(parents=True)
    (stage / "metrics_history.csv").write_text(
        "step,train_loss,val_loss,value\n1,1,1.0,0\n2,2,1.5,0\n3,3,nan,0\n"
    )
    facts = read_histories(run)
    assert facts is not None
    return h.measured("training", facts)


def thin_slices(h: Healthy) -> Known:
    def change(report: dict, primary: dict) -> None:
        one_of(primary, "category")["too_few"] = True

    return h.evaluated(change)


def card_without_limits(h: Healthy) -> Known:
    card = h.known.files["card.md"].replace(b"## Limits", b"## Nothing")
    return replace(h.known, files={**h.known.files, "card.md": card})


def unsigned(h: Healthy) -> Known:
    return replace(h.known, is_signed=False, signed_by=None)


def unpinned(h: Healthy) -> Known:
    made: Manifest = h.known.manifest
    packages = {**made.provenance.packages, "torch": "0.0"}
    return h.stated(provenance=made.provenance.model_copy(update={"packages": packages}))


MUTATIONS: list[tuple[set[str], Callable[[Healthy], Known]]] = [
    ({"D1"}, other_schema),
    ({"D1"}, lax_schema),
    ({"D2"}, dead_feature),
    ({"D2"}, harmful_feature),
    ({"D3"}, slow_feature),
    ({"D4"}, named_like_an_identifier),
    ({"D4"}, denied_column),
    ({"D5"}, private_value),
    ({"D5"}, leaking_log),
    ({"D6"}, unread_field),
    ({"D7"}, untested_features),
    ({"M1"}, changed_recipe),
    ({"M1"}, dirty_tree),
    ({"M5"}, better_baseline),
    ({"M6"}, weak_slice),
    ({"M7"}, unequal_languages),
    ({"I1"}, other_weights),
    ({"I1"}, the_same_artifact),
    ({"I2"}, lambda h: failing_test(h, "I2", "tests.detectors.intrusion.test_model")),
    ({"I3"}, lambda h: failing_test(h, "I3", "tests.end_to_end.test_intrusion")),
    ({"I3"}, no_test),
    ({"I4"}, too_many_alarms),
    ({"I4", "M5"}, worse_than_one_column),
    ({"I4"}, worse_than_the_champion),
    ({"I5"}, forgetful_decoder),
    ({"I7"}, stuck_rollback),
    ({"I7"}, idle_rollback),
    ({"I7"}, losing_rollback),
    ({"O1", "D24-holes"}, hole),
    ({"O1"}, empty_advisories),
    ({"O3"}, nothing_compared),
    ({"O3"}, skewed_serving),
    ({"O5"}, fragile_model),
    ({"O5"}, sociable_model),
    ({"P63"}, inaccurate),
    ({"P64"}, audit_error),
    ({"R30"}, miscalibrated),
    ({"C29"}, few_examples),
    ({"C30"}, rising_loss),
    ({"D24-slices"}, thin_slices),
    ({"D24-card"}, card_without_limits),
    ({"D24-signed"}, unsigned),
    ({"D24-pinned"}, unpinned),
]


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
    named = {c.id for checks in TESTS.values() for c in checks} | {c.id for c in criteria.CHECKS}
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


class Rare:
    """A model that looks at the first number only where it is enormous."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def run(self, arrays: Arrays) -> Arrays:
        enormous = arrays["numeric"][:, 0] > 4
        outputs = Deaf(self.runtime, 0).run(arrays)
        return {**outputs, "logit": outputs["logit"] + 5 * enormous.astype(np.float32)}


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
