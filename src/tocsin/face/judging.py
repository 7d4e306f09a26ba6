"""Judge sealed models from Python: what one is worth on labelled rows, and which of two is better."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.face import model
from tocsin.face.model import Model
from tocsin.face.rows import names_of
from tocsin.workflows.using.stores import Source

if TYPE_CHECKING:
    from tocsin.workflows.judging.compare import Comparison
    from tocsin.workflows.judging.evaluate import EvaluateResult

Files = str | Path | Iterable[str | Path]


def evaluate(artifact: Model | str | Path, data: Files, *, layout: str = "auto") -> "EvaluateResult":
    """Score labelled rows with a sealed model at its sealed threshold; return metrics with 95 % intervals.

    `data` are CSV, Parquet or JSON-lines files, paths or URLs, in any layout that can be read as the model's sample.
    Give a model that is open where the artifact lies in a store of another name, or must be signed.

    >>> import tocsin
    >>> result = tocsin.evaluate("runs/tiny/seed_1/artifact", "data/labelled.csv")
    >>> result.rows > 1000, result.evaluation.metrics["recall"].low < result.evaluation.metrics["recall"].high
    (True, True)
    """
    from tocsin.workflows.judging.evaluate import evaluate_artifact

    return evaluate_artifact(_source(artifact), names_of(data), layout)


def compare(
    first: Model | str | Path, second: Model | str | Path, data: Files, **options: Any
) -> "Comparison":
    """Say whether the first model is better than the second on the same labelled rows, or whether nobody can tell.

    Each stands at its own threshold. Rows that one of them was trained on are left out, where that is known.
    `options` are those of `CompareOptions`: layout, smallest, resamples, seed, every_row.

    >>> import tocsin
    >>> pair = [f"runs/tiny/seed_{seed}/artifact" for seed in (1, 2)]
    >>> found = tocsin.compare(*pair, "data/labelled.csv", resamples=400)
    >>> found.verdict in ("better", "worse", "no evidence", "under-powered")
    True
    """
    from tocsin.workflows.judging.compare import CompareOptions, compare_artifacts

    return compare_artifacts(_source(first), _source(second), names_of(data), CompareOptions(**options))


def _source(artifact: Model | str | Path) -> Source:
    return (artifact if isinstance(artifact, Model) else model.open(artifact)).source
