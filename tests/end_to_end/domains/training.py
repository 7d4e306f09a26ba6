"""The one stage of the throw-away detector, and its made data."""

import random
from pathlib import Path

from torch import Tensor, nn

from tocsin.core.types import Arrays
from tocsin.engine.arrays import ArrayBatches
from tocsin.engine.task import Part, Plan, PlanContext, Report, Stage, StepOutput


class DomainNet(nn.Module):
    """A hidden layer over the counts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, counts: Tensor) -> dict[str, Tensor]:
        return {"logit": self.layers(counts).squeeze(-1)}


class DomainTask:
    """Summed binary cross-entropy."""

    def __init__(self, width: int) -> None:
        self.width = width

    def build(self) -> nn.Module:
        return DomainNet(self.width)

    def step(self, model: nn.Module, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> StepOutput:
        scores = model(**inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(
            scores["logit"].float(), targets["label"].float(), reduction="sum"
        )
        return StepOutput(loss, scores)

    def evaluate(self, scores: Arrays, targets: Arrays, loss: float) -> Report:
        accuracy = float(((scores["logit"] > 0) == targets["label"]).mean())
        return Report(-loss, {"accuracy": accuracy})


def plan(context: PlanContext) -> Plan:
    """One stage on the counts."""
    section = context.recipe.stages["fit"]

    def batches(part: Part, draw: str) -> ArrayBatches:
        return ArrayBatches(part.arrays, {"label": part.label}, section.batch_size, context.seed, draw=draw)

    task = DomainTask(context.recipe.model.width)
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
