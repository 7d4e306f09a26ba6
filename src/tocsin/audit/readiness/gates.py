"""The ten gates as lines of the scorecard. They are decided in `tocsin.audit.gates`; here they are only shown."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Protocol

from tocsin.audit.readiness.facts import Answer, Check, Known, not_yet

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "F1": "No duplicate, near-duplicate or group straddles the split",
        "F2": "No shortcut gives the label away",
        "F3": "Trivial baselines stand beside the score",
        "F4": "Serving features equal training features",
        "F5": "No configuration key is declared and never read",
        "F6": "Every number names the run behind it",
        "F7": "Nothing was fitted on the rows that are reported",
        "F8": "Nothing failed in silence",
        "F9": "The reference data is what it claims to be",
        "F10": "No augmentation breaks labels or spans",
    }
)
EVIDENCE = ("audit.json", "evaluation.json")
_STATUS: Mapping[str, Literal["passed", "failed", "not yet"]] = MappingProxyType(
    {"passed": "passed", "failed": "failed", "not checked": "not yet"}
)


class Gate(Protocol):
    """What `tocsin.audit.gates` answers."""

    @property
    def id(self) -> str:
        """F1 to F10."""
        ...

    @property
    def title(self) -> str:
        """What it guards against."""
        ...

    @property
    def status(self) -> str:
        """`passed`, `failed` or `not checked`."""
        ...

    @property
    def evidence(self) -> str:
        """What shows it, in words."""
        ...


def show_gates(gates: Iterable[Gate]) -> tuple[Check, ...]:
    """Return a line for each of the ten gates; one that nobody decided is not yet."""
    known = {gate.id: gate for gate in gates}
    return tuple(
        Check(name, known[name].title if name in known else title, _shown(known.get(name)))
        for name, title in TITLES.items()
    )


def _shown(gate: Gate | None) -> Callable[[Known], Answer]:
    if gate is None:
        return lambda _: not_yet("the gate was not evaluated")
    status = _STATUS[gate.status]
    answer = Answer(status, str(gate.evidence), EVIDENCE, score=1.0 if status == "passed" else 0.0)
    return lambda _: answer
