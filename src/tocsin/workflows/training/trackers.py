"""Where the numbers of a run go besides its own history: the screen, TensorBoard, MLflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tocsin.core.recipe import Recipe
from tocsin.core.recipe_keys import flatten
from tocsin.engine.events import Observer
from tocsin.engine.progress import ProgressBar
from tocsin.engine.trackers import MlflowTracker, TensorBoardTracker

PARENT = "mlflow.parentRunId"
"""The tag by which MLflow shows a run under another."""


@dataclass(frozen=True)
class Tracking:
    """What follows one run."""

    tensorboard: bool = False
    mlflow: str | None = None
    """Tracking URI."""
    run_id: str | None = None
    """MLflow's run, made by `tracked`."""
    watching: tuple[Observer, ...] = ()
    """Who else watches every fit: an observer may stop it with a reason, as a search does that prunes."""
    bar: bool = True
    """Show on the screen how far a fit is."""

    def observers(self, member: str, stage: str, folder: Path, log_every: int) -> list[Observer]:
        """Return the observers of one stage of one member."""
        found: list[Observer] = [ProgressBar(Console(stderr=True))] if self.bar else []
        if self.tensorboard:
            found.append(TensorBoardTracker(folder / "tensorboard", log_every))
        if self.mlflow and self.run_id:
            found.append(MlflowTracker(self.mlflow, self.run_id, log_every, prefix=f"{member}/{stage}/"))
        return [*found, *self.watching]


@contextmanager
def tracked(
    recipe: Recipe[Any], name: str, tags: Mapping[str, str], parent: str | None = None
) -> Iterator[Tracking]:
    """Open an MLflow run for the block if the recipe wants one; it ends FAILED when the block raises.

    `parent` is the run of a search that this one is a trial of.
    """
    section = recipe.tracking
    if section.mlflow is None:
        yield Tracking(section.tensorboard)
        return
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=section.mlflow)
    experiment = section.experiment or f"{recipe.detector}-{recipe.name}"
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    nested = {} if parent is None else {PARENT: parent}
    run = client.create_run(experiment_id, run_name=name, tags={**tags, **nested}).info.run_id
    for key, value in flatten(recipe.model_dump(mode="json")):
        client.log_param(run, key, str(value)[:500])
    status = "FAILED"
    try:
        yield Tracking(section.tensorboard, section.mlflow, run)
        status = "FINISHED"
    finally:
        client.set_terminated(run, status)


def log_results(tracking: Tracking, metrics: Mapping[str, float], files: list[Path]) -> None:
    """Send the final numbers and files of a run to MLflow, if it is tracked there."""
    if not (tracking.mlflow and tracking.run_id):
        return
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.mlflow)
    for name, value in metrics.items():
        client.log_metric(tracking.run_id, name, value)
    for path in files:
        client.log_artifact(tracking.run_id, str(path))
