"""Made flows: hosts use services as they usually do, and attacks break how the features go together.

Each attack stays inside the ranges that ordinary traffic has in each feature alone; what gives it away is a
relation: many packets a second are ordinary and small packets are too, but not both at once. Nothing here is
measured traffic.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.core.durable import write_text
from tocsin.detectors.intrusion.layouts_flow import Side, measure
from tocsin.detectors.intrusion.sample import Flow

ATTACK_SHARE = 0.3
MISSING_SHARE = 0.02
NEAR_DUPLICATES = 0.02
MALFORMED = 0.004
"""Below the 1 % of bad rows at which a run fails."""
LATE = 0.9
"""From this share of the rows on, services turn up that were not there before."""


@dataclass(frozen=True)
class Habit:
    """How a service is used: medians of log-normals, and `spread`, the deviation of their logarithms."""

    share: float
    packets: float
    size: float
    """Payload bytes of a forward packet."""
    answer: float
    """Backward payload bytes per forward payload byte."""
    gap_ms: float
    spread: float = 0.7


SERVICES = {
    "dns": Habit(0.28, 2, 38, 3.0, 20, 0.4),
    "http": Habit(0.20, 8, 180, 8.0, 60, 0.9),
    "tls": Habit(0.24, 14, 220, 5.0, 80, 1.0),
    "ssh": Habit(0.08, 40, 60, 1.2, 400, 0.9),
    "smtp": Habit(0.07, 20, 700, 0.08, 90, 0.8),
    "ntp": Habit(0.06, 1.5, 48, 1.0, 900, 0.3),
    "other": Habit(0.07, 10, 300, 0.5, 250, 1.3),
}
LATE_SERVICES = ("quic", "mqtt")

KINDS = {"flood": 0.28, "scan": 0.24, "exfiltration": 0.2, "slow": 0.16, "beacon": 0.12}
"""Attack kind -> its share of the attacks."""


@dataclass
class Made:
    """Flows being made, one array a quantity. Shapes: N flows."""

    service: np.ndarray
    packets: np.ndarray
    size: np.ndarray
    answer: np.ndarray
    gap: np.ndarray
    backward_gap: np.ndarray
    kind: np.ndarray

    def mark(self, kind: str) -> np.ndarray:
        """Tell which flows are of a kind."""
        marked: np.ndarray = self.kind == kind
        return marked


def make(folder: Path, seed: int, rows: int = 20_000) -> Path:
    """Write `made-flows.csv` in the layout `flow`; the same seed writes the same bytes."""
    rng = np.random.default_rng(seed)
    flows = records(attack(behave(rng, rows), rng), rng)
    flows = repeat(flows, rng)
    out = io.StringIO()
    names = sorted(flows[0], key=[*Flow.model_fields, *flows[0]].index)
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flows)
    path = folder / "made-flows.csv"
    write_text(path, spoil(out.getvalue(), rng))
    return path


def behave(rng: np.random.Generator, count: int) -> Made:
    """Make ordinary flows."""
    names, habits = list(SERVICES), list(SERVICES.values())
    chosen = rng.choice(len(names), count, p=[habit.share for habit in habits])
    spread = np.array([habit.spread for habit in habits])[chosen]

    def draw(quantity: str, scale: float = 1.0) -> np.ndarray:
        median = np.array([getattr(habit, quantity) for habit in habits])[chosen]
        drawn: np.ndarray = median * np.exp(rng.normal(0, spread * scale))
        return drawn

    gap = draw("gap_ms")
    kind = rng.choice(list(KINDS), count, p=list(KINDS.values()))
    kind[rng.random(count) >= ATTACK_SHARE] = ""
    return Made(
        service=np.array(names, dtype=object)[chosen],
        packets=np.ceil(draw("packets")),
        size=np.clip(draw("size", 0.6), 20, 1460),
        answer=draw("answer"),
        gap=gap,
        backward_gap=gap * np.exp(rng.normal(0.1, 0.5, count)),
        kind=kind,
    )


def attack(made: Made, rng: np.random.Generator) -> Made:
    """Break one relation in each attack; every value stays where some ordinary service has it too."""
    swap = rng.permutation(len(made.kind))
    flood, scan, slow = made.mark("flood"), made.mark("scan"), made.mark("slow")
    made.gap[flood] = 12 * np.exp(rng.normal(0, 0.6, flood.sum()))
    made.packets[flood] = np.ceil(30 * np.exp(rng.normal(0, 0.6, flood.sum())))
    made.size[flood] = np.clip(40 * np.exp(rng.normal(0, 0.3, flood.sum())), 20, 1460)
    made.service[scan] = rng.choice(["http", "tls", "ssh", "smtp"], scan.sum())
    made.packets[scan] = rng.integers(1, 4, scan.sum())
    made.answer[scan] = made.answer[swap][scan]
    made.service[slow] = rng.choice(["http", "tls", "smtp"], slow.sum())
    made.gap[slow] = 700 * np.exp(rng.normal(0, 0.7, slow.sum()))
    made.size[slow] = np.clip(50 * np.exp(rng.normal(0, 0.3, slow.sum())), 20, 1460)
    stolen, beacon = made.mark("exfiltration"), made.mark("beacon")
    made.service[stolen] = rng.choice(["dns", "http", "tls"], stolen.sum())
    made.answer[stolen] = 0.1 * np.exp(rng.normal(0, 0.5, stolen.sum()))
    made.service[beacon] = rng.choice(["http", "tls", "other"], beacon.sum())
    made.answer[beacon] = np.exp(rng.normal(0, 0.03, beacon.sum()))
    made.backward_gap[beacon] = made.gap[beacon] * np.exp(rng.normal(0, 0.01, beacon.sum()))
    return made


def records(made: Made, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return the flows as rows of the layout `flow`, in order of time, some values missing."""
    count = len(made.kind)
    backward = np.maximum(1, np.round(made.packets * np.exp(rng.normal(0, 0.2, count))))
    payload = np.round(made.packets * made.size)
    answered = np.round(payload * made.answer)
    seconds = (
        (np.maximum(made.packets, backward) - 1) * made.gap / 1000 * np.exp(rng.normal(0.05, 0.1, count))
    )
    late = (np.arange(count) >= LATE * count) & (rng.random(count) < 0.1)
    made.service[late] = rng.choice(LATE_SERVICES, late.sum())
    clock = np.cumsum(rng.exponential(2.0, count))
    host = rng.integers(0, 60, count)
    flows = []
    for i in range(count):
        forward_side = Side(made.packets[i], payload[i], made.gap[i])
        flow = measure(
            seconds[i], forward_side, Side(backward[i], answered[i], made.backward_gap[i]), made.service[i]
        )
        flow = {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in flow.items()}
        for name in np.array(list(flow))[rng.random(len(flow)) < MISSING_SHARE]:
            flow[name] = None
        truth = {"label": int(made.kind[i] != ""), "category": made.kind[i], "origin": "made"}
        flows.append(flow | truth | {"host": f"host-{host[i]}", "time": round(clock[i], 3)})
    return flows


def repeat(flows: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Put in near-duplicates: the same flow a little later, its duration different in the fifth digit."""
    for i in rng.choice(len(flows) - 1, int(NEAR_DUPLICATES * len(flows)), replace=False).tolist():
        twin = dict(flows[i], time=flows[i + 1]["time"])
        if twin["duration_seconds"]:
            twin["duration_seconds"] = f"{float(twin['duration_seconds']) * (1 + 2e-5):.6g}"
        flows[i + 1] = twin
    return flows


def spoil(text: str, rng: np.random.Generator) -> str:
    """Damage a few lines as files are damaged: cut off, a word for a number, no label."""
    lines = text.splitlines()
    names = lines[0].split(",")
    for number in (1 + rng.choice(len(lines) - 1, int(MALFORMED * len(lines)), replace=False)).tolist():
        cells = lines[number].split(",")
        damage = rng.integers(3)
        if damage == 0:
            cells = cells[: len(cells) // 2]
        else:
            cells[names.index("label" if damage == 1 else "forward_packets")] = "" if damage == 1 else "many"
        lines[number] = ",".join(cells)
    return "\n".join(lines) + "\n"
