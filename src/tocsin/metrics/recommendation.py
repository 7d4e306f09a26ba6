"""Is a simpler model as good? Then it is recommended, in a sentence."""

from collections.abc import Mapping

from tocsin.metrics.evaluation import Difference, EvaluationReport

MARGIN = 0.005
"""ROC-AUC that may be lost at most, with 95 % confidence, where a simpler model is called as good."""
SIMPLEST_FIRST = ("majority", "stump", "logistic", "lightgbm")
SHIPPABLE: Mapping[str, str] = {name: f"export.ship: {name}" for name in ("logistic", "lightgbm")}
_WORDS = {"roc_auc": "ROC-AUC", "recall": "recall at the operating point"}


def recommend_simpler(report: EvaluationReport) -> tuple[str, ...]:
    """Recommend the simplest baseline that is not shown to be worse than the model, if there is one.

    Empty where the model is better than every baseline in something, or is a baseline itself.
    """
    if report.models[report.primary].kind == "baseline":
        return ()
    against: dict[str, list[Difference]] = {}
    for found in report.comparisons:
        if report.models[found.other].kind == "baseline":
            against.setdefault(found.other, []).append(found)
    equals = [name for name, found in against.items() if all(d.verdict != "better" for d in found)]
    if not equals:
        return ()
    choice = min(
        equals, key=lambda n: SIMPLEST_FIRST.index(n) if n in SIMPLEST_FIRST else len(SIMPLEST_FIRST)
    )
    return (_sentence(report.primary, choice, against[choice]),)


def _sentence(primary: str, choice: str, found: list[Difference]) -> str:
    how = f" ({SHIPPABLE[choice]})" if choice in SHIPPABLE else ""
    worse = [_WORDS.get(d.metric, d.metric) for d in found if d.verdict == "worse"]
    if worse:
        return f"Recommended: ship {choice}{how}. It is simpler than {primary}, and better in {' and '.join(worse)}."
    high = next((d.difference.high for d in found if d.metric == "roc_auc"), None)
    if high is not None and high <= MARGIN:
        lost = f"at most {max(high, 0.0):.4f} of ROC-AUC is lost"
        return f"Recommended: ship {choice}{how}. It is simpler than {primary} and as good: {lost}."
    return (
        f"Nothing shows yet that {primary} is worth more than the simpler {choice}{how}; with more test rows it"
        " could be told."
    )
