"""What a comparison of two models says, in sentences."""

from collections.abc import Sequence

from tocsin.metrics.evaluation import BinaryEvaluation
from tocsin.metrics.pairs import Change, Pair, SliceChange
from tocsin.metrics.significance import LEVEL

WORDS = {
    "roc_auc": "ROC-AUC",
    "recall": "recall",
    "false_positive_rate": "false-positive rate",
    "f1": "F1",
}
SHOWN = 5
"""So many slices are named in a sentence."""


def say_pair(pair: Pair) -> tuple[str, ...]:
    """Return what follows from a comparison, the verdict first."""
    lines = [_verdict(pair), _rates(*pair.evaluations), _decisions(pair)]
    lines += [_power(change) for change in pair.metrics if change.verdict == "under-powered"]
    return tuple(line for line in (*lines, _slices(pair)) if line)


def _verdict(pair: Pair) -> str:
    better, worse = (_having(pair.metrics, v) for v in ("better", "worse"))
    if better and worse:
        return (
            f"A trade, not a better model: A is better than B in {better} and worse in {worse}."
            " Another threshold may trade one for the other again."
        )
    if better or worse:
        rest = "nothing is shown to be worse" if better else "nothing is shown to be better"
        return f"A is {pair.verdict} than B in {better or worse}; {rest}."
    if pair.verdict == "under-powered":
        weak = _having(pair.metrics, "under-powered")
        return (
            f"Under-powered: nothing tells A and B apart, but in {weak} these rows could have missed a difference"
            " of interest."
        )
    return "No evidence that A and B differ, on rows that would have shown a difference of interest."


def _having(changes: Sequence[Change], verdict: str) -> str:
    return " and ".join(WORDS[c.metric] for c in changes if c.verdict == verdict)


def _rates(a: BinaryEvaluation, b: BinaryEvaluation) -> str:
    """Say that the recalls stand at different false-positive rates, and what they are at the same one."""
    rates = [e.metrics["false_positive_rate"].value for e in (a, b)]
    recalls = [e.metrics["recall"].value for e in (a, b)]
    if None in rates or None in recalls:
        return ""
    if rates[0] == rates[1]:
        return f"Both flag {rates[0]:.3%} of the negatives, so their recalls are at the same false-positive rate."
    same = [e.metrics["recall_at_fpr_0.01"].value for e in (a, b)]
    return (
        f"The recalls are not at the same false-positive rate: A finds {recalls[0]:.2%} of the positives and flags"
        f" {rates[0]:.3%} of the negatives, B {recalls[1]:.2%} and {rates[1]:.3%}. Whoever flags more finds more. With"
        f" thresholds set on these very rows to flag 1 %, the recalls would be {same[0]:.2%} and {same[1]:.2%}."
    )


def _decisions(pair: Pair) -> str:
    both = next(t for t in pair.tests if t.among == "all rows")
    differ = both.only_first + both.only_second
    if not differ:
        return f"A and B decide every one of the {pair.rows:,} rows alike."
    return (
        f"They decide {differ:,} of {pair.rows:,} rows differently: A is right on {both.only_first:,} of them and B on"
        f" {both.only_second:,} (McNemar, {'exact' if both.exact else 'normal approximation'}: {_p(both.p)})."
    )


def _power(change: Change) -> str:
    if change.minimum_detectable is None:
        return f"{WORDS[change.metric]} is not defined on these rows."
    needed = (
        ""
        if change.needed_rows is None
        else f"; to find {change.smallest:g} takes some {change.needed_rows:,} rows"
    )
    return (
        f"In {WORDS[change.metric]} a true difference below {change.minimum_detectable:.4f} would be missed more than"
        f" one time of five{needed}."
    )


def _slices(pair: Pair) -> str:
    if not pair.slices:
        return ""
    found = [s for s in pair.slices if s.p_holm is not None and s.p_holm < LEVEL]
    found.sort(key=lambda s: s.p or 0.0)
    count, adjusted = len(pair.slices), "adjusted for that number (Holm)"
    skipped = f" {pair.untested_slices} with too few rows were not tested." if pair.untested_slices else ""
    if not found:
        return f"In none of {count} slices do they differ, {adjusted}.{skipped}"
    named = ", ".join(map(_slice, found[:SHOWN]))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"In {len(found)} of {count} slices they differ, {adjusted}: {named}{more}.{skipped}"


def _slice(change: SliceChange) -> str:
    return f"{change.by} {change.name} ({WORDS[change.metric]} {change.difference.value:+.3f}, A is {change.verdict})"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.4f}"
