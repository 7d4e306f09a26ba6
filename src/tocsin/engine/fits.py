"""One fit of a plan, and what is known of it when it is done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor, nn

from tocsin.core.errors import InputError
from tocsin.core.types import Arrays
from tocsin.engine.batch import BatchSource
from tocsin.engine.events import Observer
from tocsin.engine.generators import capture_generators, restore_generators, seed_generators
from tocsin.engine.loop import FitOptions, FitResult, fit
from tocsin.engine.prediction import predict
from tocsin.engine.step import MicroBatches
from tocsin.engine.task import PlanContext, Report, Stage
from tocsin.engine.weights import put_weights, warm_start


@dataclass(frozen=True)
class PlanOptions:
    """What the fits of a plan share."""

    folder: Path
    """Each fit has a folder of its own in it."""
    seed: int = 0
    resume: bool = False
    micro_batch: int | None = None
    cache: Path | None = None
    """Folder of the learning-rate cache."""
    fingerprint: str = ""
    """Of the rows and their split."""
    observers: Callable[[str, Path, int], Sequence[Observer]] | None = None
    """(name of the fit, its folder, log_every) -> who watches it."""
    tell: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Finished:
    """A fit that is done; `engine/task.Fit` says what it offers."""

    stage: Stage
    result: FitResult
    fabric: Fabric
    options: PlanOptions
    crossed: Arrays | None = None
    warm: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Name of an earlier fit -> its best weights: what the stage may have started from."""

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The best weights."""
        return self.result.best

    @property
    def report(self) -> Report:
        """The best evaluation, on the validation rows."""
        return self.result.report

    @property
    def out_of_fold(self) -> Arrays:
        """Each training row's scores by the model that has not seen it; InputError where nothing was cross-fitted."""
        if self.crossed is None:
            raise InputError(
                f"{self.stage.name!r} was not cross-fitted: it has seen every row that it could score"
            )
        return self.crossed

    def module(self) -> nn.Module:
        """Make the model with its best weights; nobody's random numbers change by it."""
        before = capture_generators()
        seed_generators(self.options.seed)  # parameters that are in no file are made as they were for the fit
        module = self.stage.task.build()
        restore_generators(before)
        warm_start(
            module, self.stage.init, self.warm
        )  # a frozen base that was fitted before is in no file either
        put_weights(module, self.weights, self.stage.adapters_only)
        return module.eval()

    def scores(self, source: BatchSource) -> Arrays:
        """Return named scores for all rows of a source."""
        return self.predict(source)[0]

    def predict(self, source: BatchSource) -> tuple[Arrays, Arrays]:
        """Return named scores and named targets for all rows of a source."""
        module = self.module().to(self.fabric.device)
        micro = MicroBatches(self.options.micro_batch)
        scores, targets, _ = predict(self.fabric, self.stage.task, module, source, micro)
        return scores, targets


@dataclass(frozen=True)
class Running:
    """A plan at work: what its fits stand on, and those that are done."""

    fabric: Fabric
    context: PlanContext
    options: PlanOptions
    done: dict[str, Finished] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Return the folder of a fit."""
        return self.options.folder / name

    def fit(self, stage: Stage, watching: Sequence[Observer] = ()) -> Finished:
        """Fit a stage in its folder, from its seed or its newest checkpoint."""
        options, folder = self.options, self.folder(stage.name)
        if options.tell is not None:
            options.tell(f"{stage.name}, {stage.section.length}, {len(stage.train):,} steps an epoch")
        observers = (
            options.observers(stage.name, folder, stage.section.log_every) if options.observers else ()
        )
        warm = {name: finished.weights for name, finished in self.done.items()}
        how = FitOptions(
            seed=options.seed,
            warm=warm,
            resume=options.resume,
            observers=[*watching, *observers],
            micro_batch=options.micro_batch,
            cache=options.cache,
            fingerprint=options.fingerprint,
        )
        return Finished(stage, fit(self.fabric, stage, folder, how), self.fabric, options, warm=warm)

    def keep(self, name: str, finished: Finished) -> None:
        """Remember a fit under the name of its step; InputError for a name that is taken."""
        if name in self.done:
            raise InputError(f"the plan has two steps called {name!r}")
        self.done[name] = finished
