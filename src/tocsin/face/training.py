"""Make a model from Python: the data, its audit, and the run of a recipe."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.core.logs import hand_over

if TYPE_CHECKING:
    from tocsin.audit.findings import AuditReport
    from tocsin.workflows.training.train import TrainResult

Settings = Mapping[str, Any] | Sequence[str]
"""Values that replace those of a recipe: dotted key -> value, or `key=value` as `--set` takes it."""


def _quiet(_message: str) -> None: ...


def make_data(detector: str, folder: str | Path, seed: int = 42) -> Path:
    """Write the data that a detector makes of itself, to try things with, and return the file.

    >>> import tocsin
    >>> tocsin.make_data("intrusion", "data").name
    'made-flows.csv'
    """
    from tocsin.workflows.training.made import make_data as make

    return make(detector, Path(folder), seed)


def audit_data(
    recipe: str | Path | Mapping[str, Any], sets: Settings = (), *, tell: Callable[[str], None] = _quiet
) -> "AuditReport":
    """Check the rows of a recipe before any training, and write `audit.json` and `audit.html` into its folder.

    `failed` of the answer is the number of errors. `recipe` and `sets` are as in `train`.

    >>> import tocsin
    >>> report = tocsin.audit_data("tiny.yaml", {"data.limit": 1000, "name": "audited"})
    >>> sorted({finding.severity for finding in report.findings} - {"error", "warning", "info"})
    []
    """
    from tocsin.workflows.training.audit import audit_recipe

    hand_over()
    return audit_recipe(_written(recipe), settings(sets), tell)


def train(
    recipe: str | Path | Mapping[str, Any],
    sets: Settings = (),
    *,
    seeds: Sequence[int] | None = None,
    output: str | Path | None = None,
    tell: Callable[[str], None] = _quiet,
    **options: Any,
) -> "TrainResult":
    """Split, fit every stage, prove on the test rows beside the baselines, and seal, for each fold and seed.

    `recipe` is a YAML file, or a mapping with the same keys. It needs only `detector` and the keys that differ from
    that detector's default. `sets` replace values of it, as `--set` does; `seeds` and `output` are short for two of
    them. `tell` is called with a line for each step; `print` will do. `options` are the fields of `TrainOptions`:
    resume, force, variants, key.
    InputError names each wrong key. It refuses a folder that holds another run before anything is written.

    >>> import tocsin
    >>> result = tocsin.train("tiny.yaml", seeds=[1, 2], resume=True)
    >>> [run.seed for run in result.runs], result.runs[0].artifact.as_posix()
    ([1, 2], 'runs/tiny/seed_1/artifact')
    >>> tocsin.train({"detector": "intrusion", "model": {"widht": 32}})
    Traceback (most recent call last):
    tocsin.core.errors.InputError: recipe: model.widht: there is no such key; did you mean 'width'?
    """
    from tocsin.workflows.training.train import TrainOptions, train_recipe

    hand_over()
    short = {
        "seeds": None if seeds is None else list(seeds),
        "output": None if output is None else str(output),
    }
    over = settings({key: value for key, value in short.items() if value is not None})
    return train_recipe(_written(recipe), [*settings(sets), *over], TrainOptions(**options), tell)


def settings(sets: Settings) -> list[str]:
    """Return `key=value` for each. The value is JSON, which is YAML too, so that it is read back as it is.

    >>> settings({"model.width": 64, "data.train": ["a.csv"]})
    ['model.width=64', 'data.train=["a.csv"]']
    """
    if isinstance(sets, Mapping):
        return [f"{key}={json.dumps(value, default=str)}" for key, value in sets.items()]
    return [sets] if isinstance(sets, str) else list(sets)


def _written(recipe: str | Path | Mapping[str, Any]) -> Path | Mapping[str, Any]:
    return recipe if isinstance(recipe, Mapping) else Path(recipe)
