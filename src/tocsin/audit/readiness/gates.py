"""The ten gates as lines of the scorecard. They are decided in `tocsin.audit.gates`; here they are only shown."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from tocsin.audit.gates import TITLES, Gate
from tocsin.audit.readiness.facts import Answer, Check, Known, not_yet

EVIDENCE = ("audit.json", "evaluation.json")
_STATUS: Mapping[str, Literal["passed", "failed", "not yet"]] = MappingProxyType(
    {"passed": "passed", "failed": "failed", "not checked": "not yet"}
)


def show_gates(gates: Iterable[Gate]) -> tuple[Check, ...]:
    """Return a line for each of the ten gates; one that nobody decided is not yet."""
    known = {gate.id: gate for gate in gates}
    return tuple(Check(name, title, _shown(known.get(name))) for name, title in TITLES.items())


def _shown(gate: Gate | None) -> Callable[[Known], Answer]:
    if gate is None:
        return lambda _: not_yet("the gate was not evaluated")
    status = _STATUS[gate.status]
    answer = Answer(status, gate.evidence, EVIDENCE, score=1.0 if status == "passed" else 0.0)
    return lambda _: answer
