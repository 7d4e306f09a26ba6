"""The verbs that say what a sealed model is worth on labelled rows, and whether a number holds."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_STORE, ArtifactFolder, DataFiles, Json, PublicKey, StoreFolder
from tocsin.cli.output import emit_json, emit_line, emit_table
from tocsin.core.errors import CheckFailed

proof = typer.Typer()


@proof.command()
def evaluate(
    artifact: ArtifactFolder,
    data: DataFiles,
    layout: Annotated[str, typer.Option(help="the publisher's file layout")] = "auto",
    output: Annotated[
        Path | None, typer.Option(help="folder for the report, figures and metrics.json")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Score labelled rows with the sealed model: metrics with intervals, per slice."""
    from tocsin.workflows.judging.evaluate import evaluate_artifact
    from tocsin.workflows.using.stores import Source

    result = evaluate_artifact(Source(artifact, store, key), data, layout)
    if output is not None:
        from tocsin.workflows.pages.report import write_evaluation

        write_evaluation(output, result.evaluation, result.provenance)
    if json:
        emit_json(result)
        return
    emit_table(
        f"{result.artifact} on {len(data)} file(s), {result.rows:,} rows",
        ["metric", "value", "low", "high"],
        result.metric_rows,
    )
    emit_table("Slices", ["slice", "value", "rows", "recall", "false positives"], result.slice_rows)


@proof.command()
def compare(
    first: Annotated[str, typer.Argument(help="artifact A: folder, or detector@alias in --store")],
    second: Annotated[str, typer.Argument(help="artifact B")],
    data: Annotated[list[str], typer.Option("--data", help="labelled rows; may be given several times")],
    layout: Annotated[str, typer.Option(help="the publisher's file layout")] = "auto",
    smallest: Annotated[
        float, typer.Option(min=1e-6, max=1, help="smallest difference of interest in ROC-AUC, recall and F1")
    ] = 0.01,
    every_row: Annotated[bool, typer.Option(help="also compare rows that a model was trained on")] = False,
    resamples: Annotated[int, typer.Option(min=400, max=100_000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 42,
    output: Annotated[Path | None, typer.Option(help="folder for compare.json and compare.html")] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Say which of two sealed models is better on the same rows: better, worse, no evidence or under-powered."""
    from tocsin.workflows.judging.compare import CompareOptions, compare_artifacts
    from tocsin.workflows.pages.compare_page import write_comparison
    from tocsin.workflows.using.stores import Source

    options = CompareOptions(layout, smallest, resamples, seed, every_row)
    found = compare_artifacts(Source(first, store, key), Source(second, store, key), data, options)
    page = write_comparison(output, found) if output else None
    if json:
        emit_json(found)
        return
    columns = ["metric", "A", "B", "A minus B", "adj. p", "A is"]
    emit_table(f"A against B: {found.verdict}", columns, found.metric_rows)
    for sentence in found.sentences:
        emit_line(sentence)
    if page:
        emit_line(f"report:   {page}")


@proof.command()
def replay(
    artifact: ArtifactFolder,
    metric: Annotated[
        str, typer.Argument(help="a reported metric, such as roc_auc or category=dos:recall, or all")
    ],
    data: Annotated[
        list[str], typer.Option("--data", help="the files that the run read; repeat for several")
    ],
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Recompute a reported number from the artifact and the data; exit 1 if it differs."""
    from tocsin.workflows.judging.replay import replay as replay_numbers
    from tocsin.workflows.using.stores import Source

    result = replay_numbers(Source(artifact, store, key), metric, data)
    if json:
        emit_json(result)
    else:
        title = f"{result.rows:,} test rows: {result.found}"
        emit_table(title, ["number", "reported", "computed again", "answer"], result.table)
    if not result.same:
        different = [number.metric for number in result.numbers if not number.same]
        raise CheckFailed(f"{', '.join(different)}: not what was reported")
