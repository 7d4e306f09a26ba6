"""How an artifact gets into the store and under an alias: only when it is ready."""

from collections.abc import Callable

from tocsin.core.errors import CheckFailed
from tocsin.workflows.readiness.ready import ReadyOptions, judge_artifact
from tocsin.workflows.using.stores import Source


def promote_artifact(source: Source, alias: str, options: ReadyOptions, tell: Callable[[str], None]) -> str:
    """Judge an artifact, copy it into the store, point the alias at it; return a line for the user.

    Errors: CheckFailed, naming the lines of the scorecard, when it is not ready. At a bar of 0 nothing is judged
    but what `verify` checks.
    """
    artifact = source.predictor().artifact
    readiness = (
        "its readiness was not asked for" if options.bar <= 0 else _require_ready(source, options, tell)
    )
    shelf, line = source.shelf(), artifact.manifest.detector
    version = shelf.add(source.path())
    shelf.promote(f"{line}:{version}", alias)
    return f"{line}@{alias} is now version {version} ({artifact.digest[:12]}); {readiness}"


def _require_ready(source: Source, options: ReadyOptions, tell: Callable[[str], None]) -> str:
    _, _, result = judge_artifact(source, options, tell)
    if result.shortfalls:
        lines = "; ".join(result.shortfalls)
        raise CheckFailed(f"{source.name} is not ready and was not promoted: {lines} (lower it with --bar)")
    return f"it scores {result.scorecard.final:g} at a bar of {options.bar:g}"
