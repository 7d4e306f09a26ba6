"""O1 to O7: what can go wrong after the model is in use."""

from tocsin.audit.readiness.facts import Answer, Check, Known, decide, failed, later, not_yet

SKEW, BOM = "skew.json", "bom.cdx.json"
REPLAYED = 1e-5
"""Largest difference of a golden output, relative above 1."""
TOGETHER = 1e-6
"""Largest difference in probability between a row alone and among others."""
ADVISORY_DAYS = 31


def check_dependencies(known: Known) -> Answer:
    """O1: the locked versions were looked up in the advisory databases, lately, and have no known hole."""
    found = known.facts("O1")
    if found is None:
        return not_yet("look the locked versions up (`make audit`): --evidence O1=build/advisories.json")
    if not found["packages"]:
        return failed("the advisory report names no package", "O1")
    if found["age_days"] > ADVISORY_DAYS:
        return not_yet(
            f"the advisory report is {found['age_days']:.0f} days old, {ADVISORY_DAYS} at most", "O1"
        )
    holes = found["holes"]
    problems = [f"known holes: {', '.join(holes[:5])}"] if holes else []
    unseen = [
        name for name, version in list_libraries(known).items() if found["versions"].get(name) != version
    ]
    if unseen and not problems:
        shown = ", ".join(unseen[:5])
        return not_yet(f"{len(unseen)} packages were not looked up in the artifact's versions: {shown}", "O1")
    return decide(
        problems, f"{found['packages']} packages, no known hole", "O1", facts={"packages": found["packages"]}
    )


def list_libraries(known: Known) -> dict[str, str]:
    """Return the libraries of the bill of materials: name -> version as the advisory databases know it."""
    parts = known.sealed(BOM).get("components", ())
    return {part["name"]: part["version"].partition("+")[0] for part in parts if part.get("version")}


def check_skew(known: Known) -> Answer:
    """O3: training rows sent through the serving path gave the same features, and golden outputs still come."""
    sealed = known.sealed(SKEW)
    if not sealed:
        return not_yet("the artifact holds no record of the comparison: it was sealed before there was one")
    if not sealed["rows"]:
        return failed("no row was sent through the serving path", SKEW)
    words = f"{sealed['rows']:,} rows: {len(sealed['arrays'])} arrays equal to the byte"
    found = known.facts("replay")
    if found is None:
        return decide([], words, SKEW, facts={"rows": sealed["rows"]})
    problems = []
    if found["largest_difference"] > REPLAYED:
        problems.append(f"golden outputs differ by {found['largest_difference']:.2e} from those of training")
    if not found["reloads_equal"]:
        problems.append("the model answers otherwise when it is loaded again")
    words += f"; {found['samples']} golden samples replayed"
    return decide(
        problems, words, SKEW, "replay", facts={"rows": sealed["rows"], "gap": found["largest_difference"]}
    )


def check_stability(known: Known) -> Answer:
    """O5: extreme inputs get finite answers, and a row's answer does not depend on the rows beside it."""
    extremes, together = known.facts("extremes"), known.facts("together")
    if extremes is None or together is None:
        return not_yet("extreme inputs were not tried")
    problems = [f"no finite answer with {case}" for case in extremes["broken"][:5]]
    if together["largest_difference"] > TOGETHER:
        problems.append(
            f"a row's probability moves by {together['largest_difference']:.2e} with its neighbours"
        )
    if not extremes["answered"]:
        problems.append("no extreme input passed the schema")
    good = f"{extremes['answered']} extreme inputs answered, {extremes['refused']} refused by the schema"
    return decide(problems, good, "extremes", "together", facts={"answered": extremes["answered"]})


CHECKS = (
    Check("O1", "Dependency changes result in notification", check_dependencies),
    Check("O2", "Data invariants hold in training and serving inputs", later("needs checks on live traffic")),
    Check("O3", "Training and serving features compute the same values", check_skew),
    Check("O4", "Models are not too stale", later("needs the decay curve of M4 and an alert on age")),
    Check("O5", "The model is numerically stable", check_stability),
    Check(
        "O6",
        "No regression in training speed, latency, throughput or memory",
        later("needs a history of benchmarks"),
    ),
    Check("O7", "No regression in prediction quality on served data", later("needs labels of served rows")),
)
