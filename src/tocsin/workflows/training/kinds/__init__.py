"""What each kind of detector must prove: a file a kind, found by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.artifact.open import Artifact
from tocsin.audit.findings import AuditReport
from tocsin.core.detector import Detector
from tocsin.core.plugins import resolve
from tocsin.core.recipe import Recipe
from tocsin.data.splits import Fold

if TYPE_CHECKING:
    from tocsin.workflows.training.members import Parts
    from tocsin.workflows.training.prepare import Prepared
    from tocsin.workflows.training.trials import Fitted

Tell = Callable[[str], None]
ARTIFACT, REPORT = "artifact", "report.html"


@dataclass(frozen=True)
class RunResult:
    """One fold and seed."""

    folder: Path
    fold: str
    seed: int
    report: Path
    artifact: Path
    digest: str
    evaluation: Any
    """The report of its kind: `EvaluationReport` of verdicts, `AnswerReport` of texts."""


@dataclass(frozen=True)
class Proof:
    """What a kind brings to training. `workflows/training/kinds/<name>.py` holds one, as PROOF.

    Example: `proof_of(detector).check(prepared, fold)` refuses rows on which nothing could be shown.
    """

    check: Callable[["Prepared", Fold], None]
    """Refuses before training what could not be judged after it."""
    check_parts: Callable[[Recipe[Any], "Parts"], None]
    """The same, once the rows are encoded."""
    prove: Callable[["Fitted", AuditReport, Path | None, Tell], RunResult]
    """Judges the models of a fold on its test rows, and seals what is shipped, signed with the key."""
    reopen: Callable[[Artifact], Any]
    """Returns the evaluation that is sealed in an artifact."""
    sentences: Callable[[Any], Sequence[str]]
    """What an evaluation shows, in words."""
    over_seeds: Callable[[Path, Recipe[Any], Sequence[RunResult]], None]
    """Writes what the runs of several seeds show together."""
    columns: Mapping[str, str]
    """Heading -> metric: what fits beside a name on a screen of 80 columns; the first ranks the models."""
    metrics: tuple[str, ...]
    """What `summary.json` keeps of each model."""


def proof_of(detector: Detector) -> Proof:
    """Return what a detector's kind must prove."""
    found = resolve(f"{__name__}.{detector.kind.name}:PROOF")
    assert isinstance(found, Proof)
    return found
