"""A recipe of made flows that trains in seconds."""

from pathlib import Path

from end_to_end.recipe import write_recipe

SMALL = [
    "model.width=8", "model.layers=1", "model.heads=1", "model.feedforward=16",
    "stages.pretrain.length=4 steps", "stages.finetune.length=20 steps", "stages.finetune.batch_size=64",
    "evaluation.resamples=100", "evaluation.baselines=[majority]", "evaluation.max_false_positive_rate=0.05",
    "data.limit=2000", "hardware=cpu", "compute.threads=1", "export.golden=4",
]  # fmt: skip


def make_small(folder: Path) -> Path:
    """Write the data and the recipe; return the recipe."""
    write_recipe(folder, rows=3000)
    return folder / "recipe.yaml"
