"""The one stage of the throw-away detector, and its made data."""

import random
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.decisions import Decide, decision_targets
from tocsin.engine.optim import make_corrections
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage


class DomainNet(nn.Module):
    """A hidden layer over the counts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, counts: Tensor) -> dict[str, Tensor]:
        return {"logit": self.layers(counts).squeeze(-1)}


@dataclass(frozen=True)
class DomainTask(Decide):
    """A verdict without kinds."""

    width: int

    def build(self) -> nn.Module:
        return DomainNet(self.width)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        return Report(-loss, {"accuracy": self.measure(scores, targets)["accuracy"]})


def plan(context: PlanContext) -> Plan:
    """One stage on the counts."""
    section = context.recipe.stages["fit"]

    def batches(part: Part, draw: str) -> ArrayBatches:
        return ArrayBatches(part.arrays, decision_targets(part), section.batch_size, context.seed, draw=draw)

    task = DomainTask(
        0, 0.0, make_corrections(section.loss, context.train.label, 2), context.recipe.model.width
    )
    return Plan(
        (
            Stage(
                "fit", task, batches(context.train, "shuffle"), batches(context.valid, "sequential"), section
            ),
        )
    )


def make(folder: Path, seed: int) -> Path:
    """Write 2,000 made names: words joined together against random letters and digits."""
    rng = random.Random(seed)
    words = [
        "news",
        "home",
        "river",
        "bank",
        "game",
        "cloud",
        "music",
        "travel",
        "garden",
        "photo",
        "online",
        "radio",
    ]
    lines = ["domain,made"]
    for i in range(2000):
        if i % 2:
            name = "".join(rng.choice("bcdfghjklmnpqrstvwxz0123456789") for _ in range(rng.randint(9, 16)))
        else:
            name = "".join(rng.sample(words, 2)) + rng.choice(["", "", str(rng.randint(1, 9))])
        lines.append(f"{name}.example,{'yes' if i % 2 else 'no'}")
    path = folder / "domains.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
