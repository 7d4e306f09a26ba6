"""What the source systems themselves asked of a model before it is used; outside the four sums."""

from tocsin.audit.readiness.facts import Answer, Check, Known, decide, failed, later, not_yet, passed
from tocsin.audit.readiness.monitoring import list_libraries

EVALUATION, AUDIT, CARD, BOM = "evaluation.json", "audit.json", "card.md", "bom.cdx.json"
ACCURACY = 0.75
SINGLE_MS, BATCH_MS = 100.0, 1000.0
EXAMPLES = 5_000
MISCALIBRATED = 0.02
"""Largest calibration error, of 15 bins, less what chance alone gives; the lower end of its interval counts."""
COVERED = 0.95
SECTIONS_OF_CARD = ("## Metrics", "## Limits", "## Data")


def check_accuracy(known: Known) -> Answer:
    """P63: more than three quarters of the test rows are answered rightly."""
    found = known.primary.get("metrics", {}).get("accuracy", {}).get("value")
    if found is None:
        return not_yet("there is no accuracy", EVALUATION)
    problems = [] if found > ACCURACY else [f"accuracy {found:.3f}, above {ACCURACY:g} is asked for"]
    return decide(problems, f"accuracy {found:.3f}", EVALUATION, facts={"accuracy": found})


def check_audit(known: Known) -> Answer:
    """P64: the audit of the data found no error."""
    if not known.audit:
        return not_yet("there is no audit")
    errors = [f["name"] for f in known.audit["findings"] if f["severity"] == "error"]
    problems = [f"the audit found errors: {', '.join(errors)}"] if errors else []
    return decide(
        problems,
        f"no error among {len(known.audit['findings'])} findings",
        AUDIT,
        facts={"errors": len(errors)},
    )


def check_latency(known: Known) -> Answer:
    """P65: one row in less than 0.1 s, a hundred in less than 1 s, at the 99th percentile."""
    found = known.facts("latency")
    if found is None:
        return not_yet("latency was not measured")
    single, batch = found["single_p99_ms"], found["batch_p99_ms"]
    problems = [f"a single row takes {single:.1f} ms, {SINGLE_MS:g} allowed"] if single >= SINGLE_MS else []
    problems += [f"a batch of 100 takes {batch:.0f} ms, {BATCH_MS:g} allowed"] if batch >= BATCH_MS else []
    return decide(problems, f"p99 {single:.2f} ms a row, {batch:.1f} ms a batch of 100", "latency")


def check_calibration(known: Known) -> Answer:
    """R30: on rows like those of training, probabilities are what they say; on others the error is told."""
    found = known.primary.get("metrics", {}).get("ece_debiased")
    if not found or found["value"] is None:
        return not_yet("the evaluation has no debiased calibration error", EVALUATION)
    error, recipe = f"debiased calibration error {found['value']:.3f}", known.recipe
    facts = {"ece_debiased": found["value"]}
    if recipe["data"]["test"] or recipe["split"]["hold_out"] or recipe["split"]["time"]:
        return passed(f"{error}, on rows of another kind than those of training", EVALUATION, facts=facts)
    above = (found["value"] if found["low"] is None else found["low"]) > MISCALIBRATED
    problems = [f"{error}, {MISCALIBRATED:g} is allowed"] if above else []
    return decide(problems, error, EVALUATION, facts=facts)


def check_examples(known: Known) -> Answer:
    """C29: enough examples, and a seed."""
    rows = known.manifest.data.get("rows", 0)
    problems = [f"{rows:,} examples, {EXAMPLES:,} are asked for"] if rows < EXAMPLES else []
    seed = known.manifest.provenance.seed
    return decide(
        problems, f"{rows:,} examples, seed {seed}", "manifest.json", facts={"rows": rows, "seed": seed}
    )


def check_training(known: Known) -> Answer:
    """C30: the loss fell and stayed a number."""
    found = known.facts("training")
    if found is None:
        return not_yet("there are no training histories beside the artifact")
    bad = [stage["name"] for stage in found["stages"] if not (stage["finite"] and stage["fell"])]
    problems = [f"the loss of {', '.join(bad)} did not fall"] if bad else []
    return decide(problems, f"the loss fell in {len(found['stages'])} stages", "training")


def check_superiority(known: Known) -> Answer:
    """C31: the model is better than the trivial baseline."""
    found = [
        c
        for c in known.evaluation.get("comparisons", ())
        if (c["other"], c["metric"]) == ("majority", "roc_auc")
    ]
    if not found:
        return not_yet("it was not compared with always giving the same answer", EVALUATION)
    problems = (
        [] if found[0]["verdict"] == "better" else ["it is not better than always giving the same answer"]
    )
    return decide(problems, "better than always giving the same answer", EVALUATION)


def check_coverage(known: Known) -> Answer:
    """D24: nearly all positives lie in a slice that has enough rows to say something."""
    kinds = [s for s in known.primary.get("slices", ()) if s["by"] == "category"]
    positives = known.primary.get("positives", 0)
    if not kinds or not positives:
        return not_yet("the evaluation has no slices by kind", EVALUATION)
    share = sum(s["positives"] for s in kinds if not s["too_few"]) / positives
    problems = [f"{share:.1%} of the positives lie in slices with enough rows"] if share < COVERED else []
    good = f"{share:.1%} of the positives lie in {len(kinds)} slices with enough rows"
    return decide(problems, good, EVALUATION, facts={"share": share})


def check_card(known: Known) -> Answer:
    """D24: there is a model card with metrics, data and limits."""
    card = known.files.get(CARD, b"").decode()
    missing = [title.removeprefix("## ") for title in SECTIONS_OF_CARD if title not in card]
    problems = [f"the model card lacks {', '.join(missing)}"] if missing else []
    return decide(problems, "the model card tells metrics, data and limits", CARD)


def check_signature(known: Known) -> Answer:
    """D24: somebody signed it, and the signature is that of the key that was given."""
    if not known.is_signed:
        return failed("nobody signed it: train with --key", "manifest.json")
    if known.signed_by is None:
        return not_yet("it is signed; give the public key with --key to check by whom", "manifest.sig")
    return passed(f"signed by {known.signed_by[:16]}", "manifest.sig", facts={"signed_by": known.signed_by})


def check_environment(known: Known) -> Answer:
    """D24: what trained it is named with exact versions."""
    made = known.manifest.provenance
    listed = list_libraries(known)
    loose = [name for name, version in made.packages.items() if listed.get(name) != version.partition("+")[0]]
    problems = [] if made.packages else ["no package version is recorded"]
    problems += [f"the bill of materials does not pin {', '.join(loose)}"] if loose else []
    good = f"Python {made.python_version} and {len(made.packages)} packages with exact versions"
    return decide(problems, good, BOM, facts={"packages": len(made.packages)})


def check_holes(known: Known) -> Answer:
    """D24: no version is known to have a hole."""
    found = known.facts("O1")
    if found is None:
        return not_yet("give the advisory report: --evidence O1=build/advisories.json")
    problems = [f"known holes: {', '.join(found['holes'][:5])}"] if found["holes"] else []
    return decide(problems, f"none in {found['packages']} packages", "O1")


CHECKS = (
    Check("P63", "Test accuracy above 75 %", check_accuracy),
    Check("P64", "The data was validated", check_audit),
    Check("P65", "Single rows below 100 ms, batches of 100 below 1 s", check_latency),
    Check("R30", "Probabilities are calibrated", check_calibration),
    Check("C29", "At least 5,000 examples, with a seed", check_examples),
    Check("C30", "The loss converges", check_training),
    Check("C31", "It beats the trivial baseline", check_superiority),
    Check(
        "C32", "Load test, alerting and cost are documented", later("comes with monitoring and deployment")
    ),
    Check("D24-slices", "Slices are covered", check_coverage),
    Check("D24-card", "A model card is there", check_card),
    Check("D24-signed", "The artifact is signed", check_signature),
    Check("D24-pinned", "The environment is pinned", check_environment),
    Check("D24-holes", "No known holes in what it depends on", check_holes),
)
