"""Messages of two kinds that share no telling word, so that a network of seconds tells them apart; raw mail of them."""

import csv
import random
from pathlib import Path

from tocsin.workflows.training.train import TrainOptions, train_recipe

RECIPES = Path(__file__).parents[2] / "src/tocsin/detectors/phishing/recipes"
PHISHING = (
    "verify", "password", "account", "suspended", "confirm", "login", "urgent", "security", "unlock", "expired",
    "bank", "payment", "card", "immediately", "click", "blocked", "identity", "wallet", "prize", "transfer",
)  # fmt: skip
LEGITIMATE = (
    "meeting", "agenda", "tuesday", "lunch", "draft", "chapter", "review", "garden", "children", "weather",
    "train", "notes", "minutes", "holiday", "kitchen", "photos", "concert", "football", "seminar", "library",
)  # fmt: skip
SHARED = (
    "the", "a", "to", "of", "please", "we", "you", "and", "for", "in", "on", "with", "this", "from", "is", "will",
)  # fmt: skip


def write_messages(folder: Path, rows: int = 1_500) -> Path:
    """Write labelled messages as CSV; no two are alike."""
    rng = random.Random(0)
    path = folder / "letters.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "subject", "channel", "label", "group"])
        for number in range(rows):
            positive = number % 3 == 0
            writer.writerow([compose(positive, rng), "", "email", int(positive), number])
    return path


def compose(positive: bool, rng: random.Random) -> str:
    """Return a message of one kind."""
    telling = PHISHING if positive else LEGITIMATE
    return " ".join(
        rng.choice(telling if rng.random() < 0.6 else SHARED) for _ in range(rng.randrange(18, 40))
    )


def train(folder: Path) -> Path:
    """Train the smallest network on such messages and return its artifact."""
    sets = [
        f"data.train=[{write_messages(folder)}]", f"output={folder}", "hardware=cpu", "compute.threads=1",
        "stages.fit.length=80 steps", "evaluation.baselines=[majority]", "model.augment_share=0", "model.hide_share=0",
        "evaluation.max_false_positive_rate=0.05",
    ]  # fmt: skip
    return train_recipe(RECIPES / "smoke.yaml", sets, TrainOptions(), lambda message: None).runs[0].artifact
