"""Every condition of the scorecard that a program can look at, broken on purpose: one function each."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import AfterValidator, create_model

from tocsin.artifact.manifest import Manifest
from tocsin.artifact.store import Store
from tocsin.audit.readiness.facts import Known
from tocsin.core.durable import json_bytes
from tocsin.core.encoder import Asked, Calibration
from tocsin.core.errors import InputError
from tocsin.core.types import Arrays
from tocsin.workflows.readiness import drills
from tocsin.workflows.readiness.costs import measure_addition, measure_cost
from tocsin.workflows.readiness.drills import drill_redaction, drill_rollback
from tocsin.workflows.readiness.evidence import read_histories
from tocsin.workflows.readiness.importance import measure_importance
from tocsin.workflows.readiness.measurements import (
    measure_extremes,
    measure_latency,
    measure_replay,
    measure_together,
    measure_trace,
)
from workflows.broken_models import Deaf, Fragile, Misled, Skewed, Sociable, Tired
from workflows.healthy import Healthy, train_again

# Data


def other_schema(h: Healthy) -> Known:
    return h.sealed("schema.json", lambda schema: schema["properties"].pop("service"))


def lax_schema(h: Healthy) -> Known:
    """The code reads requests with a class that lets everything through."""
    fields: dict[str, Any] = dict.fromkeys(h.known.sample.model_fields, (Any, None))
    lax = create_model("Flow", __config__={"extra": "allow"}, **fields)
    files = {**h.known.files, "schema.json": json_bytes(lax.model_json_schema())}
    return replace(h.known, files=files, sample=lax)


def dead_feature(h: Healthy) -> Known:
    deaf = replace(h.predictor, runtime=Deaf(h.predictor.runtime, 2))
    return h.measured("importance", measure_importance(deaf, h.data, 0))


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

    def moody(outputs: Arrays, asked: Asked, calibration: Calibration, artifact: str) -> list:
        return [
            v.model_copy(update={"probability": float(next(calls))})
            for v in decode(outputs, asked, calibration, artifact)
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


def skewed_serving(h: Healthy) -> Known:
    return h.measured("replay", measure_replay(replace(h.predictor, encoder=Skewed(h.predictor.encoder))))


def fragile_model(h: Healthy) -> Known:
    return h.measured(
        "extremes", measure_extremes(replace(h.predictor, runtime=Fragile(h.predictor.runtime)))
    )


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


def slow_model(h: Healthy, monkeypatch: pytest.MonkeyPatch) -> Known:
    monkeypatch.setattr("tocsin.workflows.readiness.measurements.CALLS", 10)
    monkeypatch.setattr("tocsin.workflows.readiness.measurements.ROUNDS", 1)
    monkeypatch.setattr("tocsin.workflows.using.bench.WARM_UP", 1)
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
