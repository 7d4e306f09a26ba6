"""D1 to D7: the features and the data behind them."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tocsin.audit.readiness.facts import Answer, Check, Facts, Known, decide, failed, not_yet, passed
from tocsin.core.durable import json_bytes
from tocsin.core.private_data import name_private
from tocsin.core.types import field_names, is_numeric

SCHEMA = "schema.json"
DENIED_WORDS = frozenset(
    [
        *("id", "ids", "uid", "uuid", "guid", "ip", "ipv4", "ipv6", "mac", "address", "addr", "hostname"),
        *("user", "username", "email", "phone", "surname", "ssn", "birth", "birthday", "age"),
        *("gender", "sex", "race", "ethnicity", "religion", "nationality", "timestamp", "licence", "license"),
    ]
)
"""Words that no feature of a row may be named by: identifiers, clocks, protected attributes, personal data."""
WORDS = re.compile(r"[a-z0-9]+")

COST_BUDGET_MS = 10.0
"""A tenth of what a whole prediction may take: no single feature may cost more."""
ADD_SECONDS = 60.0
COVERED = 0.9
FOREIGN = "tocsin_undeclared_field"


def check_schema(known: Known) -> Answer:
    """D1: the frozen schema is the code's, and it refuses what it does not describe."""
    if SCHEMA not in known.files:
        return not_yet("the artifact holds no schema: it was sealed before schemas were")
    problems = []
    if known.files[SCHEMA] != json_bytes(known.sample.model_json_schema()):
        problems.append("the sealed schema is not the one that the code reads requests with")
    accepted = [name for name, sample in _broken(known) if _is_accepted(known, sample)]
    problems += [f"a sample with {name} is accepted" for name in accepted]
    refused = [i for i, sample in enumerate(known.golden) if not _is_accepted(known, sample)]
    if refused:
        problems.append(f"{len(refused)} golden samples do not fit the schema")
    good = f"{len(field_names(known.sample))} fields, frozen; unknown fields and wrong types are refused"
    return decide(
        problems, good, SCHEMA, facts={"fields": len(field_names(known.sample)), "accepted": accepted}
    )


def _broken(known: Known) -> Iterator[tuple[str, Facts]]:
    """Yield the first golden sample, broken in each way that the schema must refuse."""
    for sample in known.golden[:1]:
        yield "an unknown field", {**sample, FOREIGN: 1}
        numbers = [name for name in field_names(known.sample) if is_numeric(known.sample, name)]
        for name in numbers[:1]:
            yield "text for a number", {**sample, name: "not a number"}
            yield "an infinite number", {**sample, name: float("inf")}


def _is_accepted(known: Known, sample: Facts) -> bool:
    try:
        known.sample.model_validate(sample)
    except ValidationError:
        return False
    return True


def check_benefit(known: Known) -> Answer:
    """D2: every feature moves the answer, and none makes it worse."""
    found = known.facts("importance")
    if found is None:
        return not_yet("the importance of the features was not measured")
    if not found["labelled"]:
        still = f"; {', '.join(found['still'])}: moves no golden sample" if found["still"] else ""
        return not_yet(f"give labelled rows with --data to see if each feature helps{still}", "importance")
    counts = {"rows": found["rows"], "dead": found["dead"], "harmful": found["harmful"]}
    problems = [
        f"{', '.join(found[kind])}: {words}"
        for kind, words in (("dead", "never moves the answer"), ("harmful", "the model is better without"))
        if found[kind]
    ]
    if problems:
        return failed("; ".join(problems), "importance", facts=counts)
    unproved = [f["name"] for f in found["features"] if not (f["low"] is not None and f["low"] > 0)]
    words = f"none is dead or harmful on {found['rows']:,} rows"
    words += f"; not shown to help by itself: {', '.join(unproved)}" if unproved else ""
    words += f"; {found['note']}" if found.get("note") else ""
    score = 0.5 if unproved else 1.0
    return passed(words, "importance", score=score, facts={**counts, "unproved": unproved})


def check_cost(known: Known) -> Answer:
    """D3: no feature costs more than a tenth of the time that a prediction may take."""
    found = known.facts("cost")
    if found is None:
        return not_yet("the cost of the features was not measured")
    dear = [f["name"] for f in found["features"] if f["milliseconds"] > COST_BUDGET_MS]
    most = max(f["milliseconds"] for f in found["features"])
    problems = [f"{', '.join(dear)}: above {COST_BUDGET_MS:g} ms a row"] if dear else []
    good = f"the dearest of {len(found['features'])} features costs {most:.3f} ms a row"
    return decide(problems, good, "cost", facts={"dearest_ms": most, "budget_ms": COST_BUDGET_MS})


def check_denylist(known: Known) -> Answer:
    """D4: no feature is an identifier, a clock, a protected attribute or a denied column."""
    names = field_names(known.sample)
    bad = [name for name in names if DENIED_WORDS & set(WORDS.findall(name.lower()))]
    denied = {_plain(column): reason for column, reason in known.denied.items()}
    found = {name: denied[_plain(name)] for name in names if _plain(name) in denied}
    problems = [f"the field {name} is named like an identifier or a protected attribute" for name in bad]
    problems += [f"the field {name} is a denied column: {reason}" for name, reason in found.items()]
    good = f"{len(names)} fields, none of {len(denied)} denied columns among them"
    return decide(problems, good, SCHEMA, facts={"fields": len(names), "denied": len(denied)})


def _plain(name: str) -> str:
    return "_".join(WORDS.findall(name.lower()))


def check_privacy(known: Known) -> Answer:
    """D5: what is sealed holds no personal data, and logs leave none through."""
    leaks = {name: list(find_private(known, name)) for name in ("golden.jsonl", "profile.json", "audit.json")}
    problems = [f"{name} holds {found[0]}" for name, found in leaks.items() if found]
    named = [f["name"] for f in known.audit.get("findings", ()) if _names_private(f)]
    problems += [f"the audit found {name}" for name in named]
    log = known.facts("redaction")
    if log is not None and log["leaked"]:
        problems.append(f"the logs let through {', '.join(log['leaked'])}")
    if log is None and not problems:
        return not_yet("nothing private is sealed; what the logs let through was not tried", "audit.json")
    if problems:
        return failed("; ".join(problems), "redaction", "audit.json")
    words = f"nothing private is sealed, and {len(log['planted']) if log else 0} planted secrets stayed out of the logs"
    words += "; who reads the data, and how a person's rows are deleted, is not shown"
    return passed(words, "redaction", "audit.json", score=0.5)


def _names_private(finding: Facts) -> bool:
    words = finding["name"].lower()
    return finding["severity"] == "error" and ("personal" in words or "secret" in words)


def find_private(known: Known, name: str) -> Iterator[str]:
    """Yield the kind of each piece of personal data in the texts of a sealed file: `[email]`, `[ip]` ..."""
    content = known.golden if name.endswith(".jsonl") else known.sealed(name)
    for text in _texts(content):
        yield from name_private(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def check_addition(known: Known) -> Answer:
    """D6: a field added to the sample reaches schema and encoder without another edit, in no time."""
    found = known.facts("addition")
    if found is None:
        return not_yet("adding a feature was not tried")
    if not found["reads_fields"]:
        return not_yet(
            "the encoder does not read fields one by one: adding one is a person's work", "addition"
        )
    problems = [] if found["reached"] else ["a field added to the sample does not reach the encoder"]
    if found["seconds"] > ADD_SECONDS:
        problems.append(f"adding a field took {found['seconds']:.1f} s, {ADD_SECONDS:g} are allowed")
    good = f"a field added to the sample reached schema and encoder in {found['seconds']:.2f} s"
    return decide(problems, good, "addition", facts={"seconds": found["seconds"]})


def check_coverage(known: Known) -> Answer:
    """D7: the tests reach the lines of the feature code."""
    found = known.facts("D7")
    if found is None:
        return not_yet("give `coverage json` of the tests: --evidence D7=coverage.json")
    problems = [] if found["share"] >= COVERED else [f"tests reach {found['share']:.1%} of the feature code"]
    good = f"tests reach {found['share']:.1%} of {found['statements']:,} statements of the feature code"
    return decide(problems, good, "D7", facts={"share": found["share"], "needed": COVERED})


CHECKS = (
    Check("D1", "Feature expectations are captured in a schema", check_schema),
    Check("D2", "All features are beneficial", check_benefit),
    Check("D3", "No feature's cost is too much", check_cost),
    Check("D4", "Features adhere to meta-level requirements", check_denylist),
    Check("D5", "The data pipeline has appropriate privacy controls", check_privacy),
    Check("D6", "New features can be added quickly", check_addition),
    Check("D7", "All input feature code is tested", check_coverage),
)
