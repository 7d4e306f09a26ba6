"""I1 to I7: whether it can be made again, tested, traced and taken back."""

from tocsin.audit.readiness.facts import Answer, Check, Known, decide, failed, later, not_yet

EVALUATION = "evaluation.json"
ROLLBACK_SECONDS = 5.0
REBUILT_GPU = 0.01
"""Largest difference in probability of a second training on a GPU; on a CPU it must be equal to the byte."""


def check_reproduction(known: Known) -> Answer:
    """I1: a second training of the same recipe gave the same model."""
    found = known.facts("I1")
    if found is None:
        return not_yet("train the recipe a second time: --evidence I1=OTHER_ARTIFACT")
    if found["differing_inputs"]:
        return failed(f"the second run is another one: {', '.join(found['differing_inputs'])}", "I1")
    if found["same_run"]:
        return failed("the second artifact is a copy of the first: that shows nothing", "I1")
    if known.manifest.provenance.trained_on == "gpu":
        gap = found["largest_difference"]
        problems = (
            [] if gap <= REBUILT_GPU else [f"probabilities differ by {gap:.2e}, {REBUILT_GPU:g} allowed"]
        )
        return decide(problems, f"trained twice on a GPU, probabilities differ by {gap:.2e}", "I1")
    differing = found["differing_files"]
    problems = [f"trained twice, {', '.join(differing)} differ"] if differing else []
    return decide(problems, f"trained twice, {len(found['files'])} files are equal to the byte", "I1")


def check_unit_tests(known: Known) -> Answer:
    """I2: the tests of the model's code ran and passed."""
    return _judge_tests(known, "I2", "model code")


def check_integration_tests(known: Known) -> Answer:
    """I3: the tests of the whole pipeline ran and passed."""
    return _judge_tests(known, "I3", "whole pipeline")


def _judge_tests(known: Known, line: str, what: str) -> Answer:
    found = known.facts(line)
    if found is None:
        return not_yet(f"give the JUnit report of the tests: --evidence {line}=junit.xml")
    if not found["tests"]:
        return failed(
            f"the report holds no test of the {what}", line, facts={"looked_for": found["looked_for"]}
        )
    problems = (
        [f"{len(found['failed'])} of {found['tests']} failed: {found['failed'][0]}"]
        if found["failed"]
        else []
    )
    return decide(
        problems, f"{found['tests']} tests of the {what} passed", line, facts={"tests": found["tests"]}
    )


def check_gate(known: Known) -> Answer:
    """I4: the model beats guessing and one column, keeps its false-positive target, is not worse than the champion."""
    report, primary = known.evaluation, known.primary
    if not primary:
        return not_yet("there is no evaluation", EVALUATION)
    verdicts = {(c["other"], c["metric"]): c["verdict"] for c in report["comparisons"]}
    if not {"majority", "stump"} & report["models"].keys():
        return not_yet("it was compared neither with guessing nor with one column", EVALUATION)
    problems = []
    if verdicts.get(("majority", "roc_auc"), "better") != "better":
        problems.append("it is not shown to rank better than always giving the same answer")
    if verdicts.get(("stump", "roc_auc")) == "worse":
        problems.append("one column alone ranks better")
    rate, point = primary["metrics"]["false_positive_rate"], primary["operating_point"]
    if rate["low"] is not None and rate["low"] > point["max_false_positive_rate"]:
        problems.append(
            f"it flags {rate['value']:.2%} of normal test rows, {point['max_false_positive_rate']:.2%} was asked for"
        )
    champion = known.facts("I4")
    if champion is not None and champion["verdict"] == "worse":
        problems.append(f"it is worse than {champion['other']}: {champion['sentence']}")
    good = "it beats guessing and one column, and keeps its false-positive rate; "
    if champion is None:
        good += "no champion was compared (--evidence I4=compare.json)"
        return decide(problems, good, EVALUATION, facts={"false_positive_rate": rate["value"]})
    good += f"against {champion['other']}: {champion['verdict']}"
    return decide(problems, good, EVALUATION, "I4", facts={"false_positive_rate": rate["value"]})


def check_trace(known: Known) -> Answer:
    """I5: one sample was followed from its fields to its verdict, and ends where `predict` ends."""
    found = known.facts("trace")
    if found is None:
        return not_yet("no sample was followed through the model")
    problems = (
        [] if found["agrees"] else ["the steps of one sample do not end in the verdict that it is given"]
    )
    stages = " → ".join(found["stages"])
    return decide(
        problems, f"one sample is traced: {stages}", "trace", facts={"probability": found["probability"]}
    )


def check_rollback(known: Known) -> Answer:
    """I7: going back to the version before is quick, and nobody asks in vain meanwhile."""
    found = known.facts("rollback")
    if found is None:
        return not_yet("going back was not tried")
    problems = []
    if found["error"]:
        problems.append(f"going back does not work: {found['error']}")
    elif found["seconds"] > ROLLBACK_SECONDS:
        problems.append(f"going back took {found['seconds']:.2f} s, {ROLLBACK_SECONDS:g} are allowed")
    if found["failed_requests"]:
        problems.append(f"{found['failed_requests']} of {found['requests']} requests failed meanwhile")
    if not found["error"] and not found["is_back"]:
        problems.append("the alias does not name the version before")
    good = f"back in {found['seconds']:.2f} s, {found['requests']} requests answered meanwhile, none failed"
    return decide(
        problems, good, "rollback", facts={"seconds": found["seconds"], "requests": found["requests"]}
    )


CHECKS = (
    Check("I1", "Training is reproducible", check_reproduction),
    Check("I2", "Model specification code is unit tested", check_unit_tests),
    Check("I3", "The full pipeline is integration tested", check_integration_tests),
    Check("I4", "Model quality is validated before serving", check_gate),
    Check("I5", "The model can be observed step by step on a single example", check_trace),
    Check("I6", "Models are tested by a canary before serving", later("needs a canary beside live traffic")),
    Check("I7", "Models can be quickly and safely rolled back", check_rollback),
)
