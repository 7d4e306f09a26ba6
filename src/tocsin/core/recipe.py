"""The recipe: one YAML file that declares a run, complete, checked and frozen.

Precedence: the detector's default recipe < the user's file < the hardware overlay < `--set key=value`.
"""

from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tocsin.core.duration import Duration


def at_least_one(interval: Duration) -> Duration:
    """Return an interval as it is; ValueError for none at all, which would be `always`."""
    if not interval.count:
        raise ValueError(f"'{interval}' is no interval: the least is '1 {interval.unit[:-1]}'")
    return interval


def distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return seeds as they are; ValueError if one is there twice, since its run would overwrite the first."""
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    return seeds


Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Interval = Annotated[Duration, AfterValidator(at_least_one)]
ModelConfig = TypeVar("ModelConfig", bound=BaseModel)


class Section(BaseModel):
    """A part of a recipe: frozen, unknown keys refused, every key described."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class SourceSection(Section):
    """Where files come from."""

    licence: str = Field(min_length=1, description="what may be done with the rows")
    origin: Literal["real", "made"] = Field(description="measured or written by people, or made by a program")
    url: str | None = Field(None, description="where they were published")


class DataSection(Section):
    """Which rows are read, and how many bad ones are tolerated."""

    sample: str = Field(description="which of the detector's samples the rows are read as")
    layout: str = Field("auto", description="the publisher's file layout; `auto` knows it by the columns")
    train: tuple[str, ...] = Field(description="paths or URLs: CSV, Parquet or JSON lines")
    test: tuple[str, ...] = Field(
        (), description="an official test set; without one, `split.test` is cut off"
    )
    unlabelled: tuple[str, ...] = Field(
        (), description="rows whose labels are never read, for pretraining only"
    )
    max_bad_rows: Fraction = Field(0.01, description="share of bad rows above which the run fails")
    limit: Count | None = Field(
        None, description="most rows to read from each file, drawn evenly; null reads all"
    )
    sources: dict[str, SourceSection] = Field(
        default_factory=dict, description="file name or glob -> licence, origin (real or made), url"
    )


class SplitSection(Section):
    """How rows are divided so that nothing leaks."""

    valid: Fraction = Field(0.15, description="share of the training rows for thresholds and early stopping")
    test: Fraction = Field(0.30, description="share for the test when `data.test` is empty")
    near_duplicates: bool = Field(True, description="keep near-duplicate rows on one side")
    digits: int = Field(
        3, ge=1, le=9, description="significant digits at which two numeric rows count as near-duplicates"
    )
    text: tuple[str, ...] | Literal["auto"] = Field(
        "auto",
        description="columns of free text, compared by likeness; `auto` takes those of 40 letters and more",
    )
    group: str | None = Field(None, description="column whose equal values stay on one side")
    time: str | None = Field(None, description="column to split on in time: the newest rows are the test")
    by: str | None = Field(
        None, description="facet that names each row's side, such as a published `split`; null divides here"
    )
    hold_out: tuple[str, ...] | Literal["each"] = Field(
        (), description="categories that are in the test only; `each` makes one fold per category"
    )
    hold_out_by: str = Field(
        "category",
        description="what `hold_out` names: the `category` of positives, or a facet of all rows such as source",
    )
    most: int | None = Field(
        None, ge=1, description="most training rows of each class of each source; null keeps all"
    )
    seed: int = Field(42, ge=0, description="seed of the split, apart from the seeds of the models")


class GroupSection(Section):
    """Settings of the parameters that a glob matches."""

    learning_rate_scale: float = Field(
        1.0, ge=0, le=1000, description="times the stage's learning rate; 0 freezes"
    )
    weight_decay: float | None = Field(None, ge=0, le=1, description="in place of the stage's; null keeps it")


class OptimSection(Section):
    """AdamW, its schedule and its clipping."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["find"] = Field(
        1e-4, description="peak rate in (0, 1], or `find` to run the learning-rate finder"
    )
    weight_decay: float = Field(1e-5, ge=0, le=1, description="decoupled weight decay")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="decay of the gradient's two moments")
    groups: dict[str, GroupSection] = Field(
        default_factory=dict,
        description="glob over parameter names -> settings; the last match wins; each must match something",
    )
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        "cosine", description="how the rate falls after warm-up"
    )
    warmup: Fraction = Field(0.1, description="share of the steps in which the rate rises from 0")
    final_scale: float = Field(0.0, ge=0, le=1, description="cosine: last rate as a share of the peak")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="plateau: the rate is multiplied by it")
    plateau_patience: int = Field(
        2, ge=0, le=100, description="plateau: evaluations without progress before it"
    )
    clip_norm: float | None = Field(1.0, gt=0, description="largest global gradient norm; null does not clip")


class LossSection(Section):
    """Corrections for rare classes. Using more than one logs a warning."""

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="weigh the loss by inverse class frequency"
    )
    sampler: Literal["shuffle", "weighted"] = Field(
        "shuffle", description="`weighted` draws classes equally often"
    )
    focal_gamma: float = Field(0.0, ge=0, le=5, description="focal loss exponent; 0 is cross-entropy")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="share of the target spread over the classes"
    )


class StageSection(Section):
    """One fit."""

    length: Duration = Field(
        description="how long to train, such as `3 epochs` or `2000 steps`; 0 skips the stage"
    )
    batch_size: Count = Field(256, description="rows in one optimizer step, over all devices")
    evaluate_every: Interval = Field(
        Duration(1, "epochs"), description="how often to score the validation rows"
    )
    checkpoint_every: Interval = Field(Duration(1, "epochs"), description="how often to write a checkpoint")
    keep_checkpoints: int = Field(2, ge=1, le=100, description="how many of the newest checkpoints are kept")
    patience: int | None = Field(
        None, ge=1, le=1000, description="evaluations without progress before stopping; null never"
    )
    ema: float | None = Field(
        None, ge=0.5, lt=1, description="decay of the averaged weights that are evaluated and kept"
    )
    rollbacks: int = Field(
        0, ge=0, le=2, description="after a collapse, restarts from the last good checkpoint at half the rate"
    )
    log_every: Count = Field(10, description="steps between two lines of the step history")
    optim: OptimSection = Field(default_factory=OptimSection, description="optimizer and schedule")
    loss: LossSection = Field(default_factory=LossSection, description="corrections for rare classes")


class EvaluationSection(Section):
    """What is reported, and where the model is operated."""

    model: str = Field(
        "model", min_length=1, max_length=40, description="what the model is called in reports"
    )
    max_false_positive_rate: float = Field(
        0.01, gt=0, lt=0.5, description="the threshold is chosen on validation to stay below it"
    )
    confidence: float | None = Field(
        0.95,
        ge=0.5,
        lt=1,
        description="confidence that the true rate stays below; null only looks at the share on validation",
    )
    thresholds_per: str | None = Field(
        None,
        description="text column whose values get their own thresholds, given enough rows; null is one for all",
    )
    abstain: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the negatives that may go to a person instead of a verdict; null is none",
    )
    daily_volume: Count = Field(
        1_000_000, description="negative rows a day, to say how many false alerts a day follow"
    )
    smallest_difference: float = Field(
        0.01, gt=0, lt=1, description="smallest difference in ROC-AUC or recall that matters"
    )
    prior: float | None = Field(
        None, gt=0, lt=1, description="share of positives where the model will be used; null is unknown"
    )
    slice_floor: float = Field(
        0.5, ge=0, lt=1, description="lowest recall that `tocsin ready` accepts of any slice at the threshold"
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples behind each interval")
    baselines: tuple[str, ...] = Field((), description="simpler models fitted on the same split")


MODEL, AVERAGE = "model", "average"
"""What `export.ship` may name beside a baseline; `model` is also a part of an average."""
Weight = Annotated[float, Field(gt=0, le=100)]


def holds_model(weights: dict[str, float]) -> dict[str, float]:
    """Return weights of the model and of a baseline at least; ValueError for others."""
    if MODEL not in weights or len(weights) < 2:
        raise ValueError("an average is that of the model and at least one baseline")
    return weights


class ExportSection(Section):
    """How the model leaves PyTorch."""

    ship: str = Field(MODEL, description="what is packaged: the model, a baseline, or their average")
    weights: Annotated[dict[str, Weight], AfterValidator(holds_model)] | None = Field(
        None,
        description="average: part -> weight, such as {model: 2, lightgbm: 1}; null weighs the usual parts alike",
    )
    parity: float = Field(
        1e-5, gt=0, le=1e-2, description="largest difference in probability between PyTorch and ONNX"
    )
    int8: bool = Field(False, description="quantise, if quality stays within `int8_loss`")
    int8_loss: float = Field(
        0.002, ge=0, le=0.05, description="largest loss of ROC-AUC and F1 that int8 may cost"
    )
    golden: int = Field(
        32, ge=4, le=1000, description="samples sealed with their outputs and replayed at load"
    )

    @model_validator(mode="after")
    def _weighs_what_ships(self) -> Self:
        if self.weights is not None and self.ship != AVERAGE:
            raise ValueError(f"weights are those of an average, and {self.ship} is shipped")
        return self


class ComputeSection(Section):
    """What the hardware overlay sets."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    devices: Count = Field(1, description="how many of them")
    precision: Literal["auto", "32", "bf16", "fp16"] = Field(
        "auto", description="`auto` is bf16 where the device has it"
    )
    micro_batch: Count | None = Field(None, description="rows in one forward pass; null is the whole batch")
    threads: Count | None = Field(None, description="CPU threads; null leaves it to the library")
    deterministic: bool = Field(True, description="refuse operations whose result varies from run to run")


class TrackingSection(Section):
    """Where histories go besides the run's own CSV and JSON."""

    tensorboard: bool = Field(False, description="write TensorBoard events into the run")
    mlflow: str | None = Field(
        None, description="MLflow tracking URI, such as sqlite:///mlflow.db; null is off"
    )
    experiment: str | None = Field(None, description="MLflow experiment; null is `<detector>-<recipe name>`")


class Recipe(Section, Generic[ModelConfig]):
    """The whole run. `Recipe[detector.config]` checks the model section too."""

    detector: str = Field(description="name of the detector")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="name of the run's folder")
    seeds: Annotated[tuple[Seed, ...], AfterValidator(distinct)] = Field(
        (42,), min_length=1, description="one run per seed"
    )
    hardware: str = Field("auto", description="auto, cpu, t4, v100, a100, h200, or a YAML file of your own")
    output: Path = Field(Path("runs"), description="folder that the run's folder is made in")
    data: DataSection = Field(description="the rows")
    split: SplitSection = Field(default_factory=SplitSection, description="how they are divided")
    model: ModelConfig = Field(description="the detector's own settings")
    stages: dict[str, StageSection] = Field(description="the fits, by the detector's names for them")
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection, description="what is reported")
    export: ExportSection = Field(default_factory=ExportSection, description="how the model is packaged")
    compute: ComputeSection = Field(
        default_factory=ComputeSection, description="what the hardware overlay sets"
    )
    tracking: TrackingSection = Field(default_factory=TrackingSection, description="trackers")
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="name -> dotted keys to change; trained on the same split and reported beside the model",
    )
