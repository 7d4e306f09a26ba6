"""The ten gates: each a defect that once passed for a result, where it is stopped, and whether it was.

Three of them (F4, F5, F10) stop a run at training or at load and leave only their trace in the artifact; the others
are read off the audit and the evaluation. Source: spec/readiness.md, gates F1 to F10.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from tocsin.audit.findings import AuditReport
from tocsin.audit.shortcuts import WORDS
from tocsin.core.plugins import rungs

Status = Literal["passed", "failed", "not checked"]
Ruling = tuple[Status, str]
Content = BaseModel | Mapping[str, Any]

STRADDLING = frozenset({
    "duplicates across the split", "near-duplicates across the split", "groups across the split",
    "time across the split",
})  # fmt: skip
FOREIGN = frozenset({"foreign rows", "empty rows", "constant rows", "undescribed sources", "schema"})
SILENT = frozenset({"labels", "class balance"})
MOST_PUBLISHED_OVERLAP = 0.05
"""Share of a published test set that may repeat training rows: it is named, and above this it fails."""
SHORTCUT = 0.02
"""What no model is needed for must stay this far below the model in ROC-AUC."""


@dataclass(frozen=True)
class Gate:
    """One gate and what was seen at it."""

    id: str
    title: str
    status: Status
    evidence: str
    enforced_by: str = ""


@dataclass(frozen=True)
class _Seen:
    """What the gates are read off."""

    audit: AuditReport
    evaluation: Mapping[str, Any]
    manifest: Mapping[str, Any]

    def found(self, names: frozenset[str], *severities: str) -> list[str]:
        """Return the messages of findings with these names and severities."""
        chosen = (f for f in self.audit.findings if f.name in names and f.severity in severities)
        return [f"{f.name}: {f.message}" for f in chosen]

    @property
    def models(self) -> Mapping[str, Any]:
        """Name -> evaluation of each model that was compared."""
        found: Mapping[str, Any] = self.evaluation.get("models") or {}
        return found

    @property
    def primary(self) -> Mapping[str, Any]:
        """The model itself."""
        found: Mapping[str, Any] = self.models.get(self.evaluation.get("primary", ""), {})
        return found

    @property
    def files(self) -> Mapping[str, str]:
        """Sealed file -> sha256."""
        found: Mapping[str, str] = self.manifest.get("files") or {}
        return found


def evaluate_gates(audit: Content, evaluation: Content, manifest: Content) -> tuple[Gate, ...]:
    """Say of every gate whether it was passed, by `audit.json`, `evaluation.json` and `manifest.json`.

    Each may be the model or its JSON. A gate whose evidence is missing was not checked; it never passes for lack of it.
    """
    evidence = _Seen(AuditReport.model_validate(_plain(audit)), _plain(evaluation), _plain(manifest))
    return tuple(Gate(line.id, line.title, *line.check(evidence), line.enforced_by) for line in GATES)


def _check_straddling(seen: _Seen) -> Ruling:
    """F1."""
    bad = seen.found(STRADDLING, "error")
    naive, ours = (seen.audit.split.get(name) for name in ("naive_overlap", "overlap"))
    if bad:
        return "failed", "; ".join(bad)
    if naive is None or ours is None or seen.audit.leak is None:
        return "not checked", "the audit holds no leak meter"
    meter = f"{ours:.1%} of the test rows have a near-duplicate in training. {seen.audit.leak.sentence}"
    if ours > (MOST_PUBLISHED_OVERLAP if seen.audit.leak.official else 0):
        return "failed", meter
    return "passed", meter


def _check_shortcuts(seen: _Seen) -> Ruling:
    """F2."""
    model = _value(seen.primary, "roc_auc")
    known = {s.name: s.test_roc_auc for s in seen.audit.shortcuts if s.test_roc_auc is not None}
    content = known.pop(WORDS, None)  # all the words are what a text says: an alarm, no failure (ADR 0007)
    if model is None or not known:
        return "not checked", "there is no ROC-AUC of the model, or of anything simpler, to put beside it"
    stump = _value(seen.models.get("stump", {}), "roc_auc")
    known |= {} if stump is None else {"stump": stump}
    name = max(known, key=lambda n: known[n])
    words = f"on the test rows {name} reaches ROC-AUC {known[name]:.4f}, {seen.evaluation.get('primary')} {model:.4f}"
    if content is not None and content > model - SHORTCUT:
        words += (
            f"; alarm: its words in no order reach {content:.4f}, so see M5 whether a simpler model is enough"
        )
    return ("passed" if known[name] <= model - SHORTCUT else "failed"), words


def _check_ladder(seen: _Seen) -> Ruling:
    """F3."""
    if not seen.models:
        return "not checked", "there is no evaluation"
    known = [name for name, model in seen.models.items() if model.get("kind") == "baseline"]
    ladder = rungs(seen.manifest["detector"]).values()
    missing = [" or ".join(rung) for rung in ladder if not set(rung) & set(known)]
    if missing:
        return "failed", f"not reported beside the model: {', '.join(missing)}"
    scores = (f"{n} {_value(seen.models[n], 'roc_auc') or float('nan'):.4f}" for n in known)
    return "passed", f"ROC-AUC on the same rows: {', '.join(scores)}"


def _check_features(seen: _Seen) -> Ruling:
    """F4."""
    if "golden.jsonl" not in seen.files or not seen.manifest.get("parity"):
        return "not checked", "the manifest names no golden samples or no parity"
    worst = max(seen.manifest["parity"].values())
    return "passed", (
        f"sealed after features were equal to the byte on both paths; probabilities within {worst:.1g} of training; "
        "golden samples are replayed at every load"
    )


def _check_keys(seen: _Seen) -> Ruling:
    """F5."""
    digest = (seen.manifest.get("provenance") or {}).get("recipe_sha256")
    if "recipe.yaml" not in seen.files or not digest:
        return "not checked", "the manifest names no recipe"
    return "passed", f"recipe {digest[:12]} was read with unknown keys refused, and is sealed as it was read"


def _check_origin(seen: _Seen) -> Ruling:
    """F6."""
    made = seen.evaluation.get("provenance")
    if not made:
        return "failed" if seen.models else "not checked", "the evaluation does not say what made it"
    needed = ("run", "seed", "recipe_sha256", "data_fingerprint")
    missing = [name for name in needed if made.get(name) in (None, "")]
    if missing:
        return "failed", f"the evaluation does not say its {', '.join(missing)}"
    others = {"manifest": seen.manifest.get("provenance"), "audit": _dump(seen.audit.provenance)}
    wrong = [n for n, o in others.items() if o and o["data_fingerprint"] != made["data_fingerprint"]]
    if wrong:
        return "failed", f"{' and '.join(wrong)} and evaluation are about different data"
    if not made.get("git_commit"):
        return "not checked", "it was trained outside a repository: no commit says which code made it"
    dirty = ", with uncommitted changes" if made.get("git_dirty") else ""
    return "passed", (
        f"seed {made['seed']}, recipe {made['recipe_sha256'][:12]}, data {made['data_fingerprint'][:12]}, "
        f"commit {made['git_commit'][:12]}{dirty}"
    )


def _check_fitting(seen: _Seen) -> Ruling:
    """F7."""
    if not seen.models or not seen.manifest:
        return "not checked", "there is no evaluation or no manifest"
    sizes = dict(seen.audit.rows)
    wrong = [n for n, m in seen.models.items() if not (m.get("operating_point") or {}).get("valid_negatives")]
    if wrong:
        return "failed", f"no validation rows stand behind the threshold of {', '.join(wrong)}"
    sealed = (seen.manifest.get("calibration") or {}).get("threshold")
    chosen = seen.primary["operating_point"]["threshold"]
    if sealed != chosen:
        return "failed", f"the sealed threshold is {sealed}, the one chosen on validation {chosen}"
    if seen.primary.get("rows") != sizes.get("test"):
        return (
            "failed",
            f"scored on {seen.primary.get('rows')} rows, the split's test has {sizes.get('test')}",
        )
    return "passed", (
        f"encoder and model fitted on {sizes['train']:,} training rows, temperature and threshold chosen on "
        f"{sizes['valid']:,} validation rows, scored once on {sizes['test']:,} test rows"
    )


def _check_silence(seen: _Seen) -> Ruling:
    """F8."""
    bad = seen.found(SILENT, "error")
    bad += [f"there are no {side} rows" for side in ("train", "test") if not seen.audit.rows.get(side)]
    if bad:
        return "failed", "; ".join(bad)
    counted = seen.audit.statistics.get("refused_rows")
    if counted is None:
        return "not checked", "the audit does not say how many rows were refused"
    lost = [n for n, e in (seen.primary.get("metrics") or {}).items() if e.get("value") is None]
    if lost:
        return "failed", f"the evaluation has no value for {', '.join(lost)}"
    return (
        "passed",
        f"{sum(seen.audit.rows.values()):,} rows in the split, {counted:,} refused with their reasons",
    )


def _check_provenance(seen: _Seen) -> Ruling:
    """F9."""
    bad = seen.found(FOREIGN, "error", "warning")
    if bad:
        return "failed", "; ".join(bad)
    sources = seen.audit.statistics.get("sources")
    if not sources:
        return "not checked", "the audit does not name its sources"
    return (
        "passed",
        f"{len(sources)} described source(s), none with rows of another kind: {', '.join(sources)}",
    )


def _check_augmenters(seen: _Seen) -> Ruling:
    """F10."""
    if not seen.manifest.get("provenance"):
        return "not checked", "there is no manifest"
    return (
        "passed",
        "training refuses an augmenter without a promise, and a test holds each one to what it promises",
    )


def _value(model: Mapping[str, Any], metric: str) -> float | None:
    found: float | None = ((model.get("metrics") or {}).get(metric) or {}).get("value")
    return found


def _plain(content: Content) -> Mapping[str, Any]:
    return content.model_dump(mode="json") if isinstance(content, BaseModel) else content


def _dump(part: Any) -> dict[str, Any] | None:
    return None if part is None else part.model_dump()


@dataclass(frozen=True)
class _Line:
    id: str
    title: str
    check: Callable[[_Seen], Ruling]
    enforced_by: str


GATES = (
    _Line(
        "F1", "No duplicate, near-duplicate or group straddles the split", _check_straddling, "data/splits.py"
    ),
    _Line("F2", "No shortcut gives the label away", _check_shortcuts, "audit/shortcuts.py"),
    _Line("F3", "Trivial baselines stand beside the score", _check_ladder, "workflows/training/ladder.py"),
    _Line(
        "F4",
        "Serving features equal training features",
        _check_features,
        "workflows/training/package.py, serve/golden.py",
    ),
    _Line("F5", "No configuration key is declared and never read", _check_keys, "core/recipes.py"),
    _Line("F6", "Every number names the run behind it", _check_origin, "workflows/training/provenance.py"),
    _Line(
        "F7",
        "Nothing was fitted on the rows that are reported",
        _check_fitting,
        "workflows/training/train.py",
    ),
    _Line("F8", "Nothing failed in silence", _check_silence, "data/sources.py, engine/guards.py"),
    _Line("F9", "The reference data is what it claims to be", _check_provenance, "audit/foreign.py"),
    _Line(
        "F10",
        "No augmentation breaks labels or spans",
        _check_augmenters,
        "core/promise.py, engine/arrays.py",
    ),
)
TITLES: Mapping[str, str] = {line.id: line.title for line in GATES}
"""Gate -> what it says when it passes."""
