"""The verbs that let a sealed model answer."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from tocsin.cli.options import DEFAULT_STORE, ArtifactFolder, DataFiles, Json, PublicKey, StoreFolder
from tocsin.cli.output import emit_json, emit_line, emit_record, emit_table, say
from tocsin.core.errors import FOUND, InputError
from tocsin.core.found import files_of

serving = typer.Typer()
FORMATS = tuple(files_of("tocsin.workflows.using.writers"))
"""What `scan` can write; only the names are looked up here."""


@serving.command()
def predict(
    artifact: ArtifactFolder,
    data: DataFiles,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=".csv, .parquet or .jsonl; stdout as JSON lines")
    ] = None,
    layout: Annotated[str, typer.Option(help="the publisher's file layout")] = "auto",
    explain: Annotated[int, typer.Option(min=0, help="strongest reasons per row")] = 0,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Give a verdict for each row."""
    from tocsin.workflows.using.predict import predict_rows
    from tocsin.workflows.using.stores import Source

    summary = predict_rows(Source(artifact, store, key), data, output, layout=layout, explain=explain)
    if json and output:
        emit_json(summary)
    elif output:
        emit_line(
            f"{summary['rows']:,} rows, {summary['positive']:,} {summary['label']}, "
            f"{summary['refused']:,} refused -> {output}"
        )


class ScanVerb(TyperCommand):
    """The verb `scan`: its help says what the detectors read, which are imported for it."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click gives it
        """Write what each detector reads."""
        from tocsin.core.plugins import detector_names, load_detector

        found = [(name, load_detector(name)) for name in detector_names()]
        with formatter.section("What is read"):
            formatter.write_dl([(name, detector.scans) for name, detector in found if detector.scan])


@serving.command(cls=ScanVerb)
def scan(
    targets: Annotated[
        list[str],
        typer.Argument(help="files or folders; - reads stdin", metavar="TARGET", show_default=False),
    ],
    artifact: Annotated[
        str | None,
        typer.Option(help="artifact folder, or detector@alias in --store [the only champion that scans]"),
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = "table",
    explain: Annotated[int, typer.Option(min=0, help="strongest reasons per positive target")] = 3,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Give a verdict on raw files, as the artifact's detector reads them; exit 10 when one is positive."""
    from tocsin.workflows.using.scan import Scan
    from tocsin.workflows.using.stores import Source, find_scanner
    from tocsin.workflows.using.writer import load_writer, write

    writer = load_writer("json" if json else form)
    run = Scan(Source(artifact or find_scanner(store), store, key), targets, explain)
    emitters = {"document": emit_json, "record": emit_record, "line": emit_line, "note": say}
    for kind, content in write(writer(run), run.results()):
        emitters[kind](content)
    if run.positive:
        raise typer.Exit(FOUND)
    if run.refused:
        raise InputError(f"{run.refused} of {run.targets} target(s) could not be read")


@serving.command()
def verify(
    artifact: ArtifactFolder,
    key: PublicKey = None,
    require_signature: Annotated[bool, typer.Option(help="refuse an unsigned artifact")] = False,
    store: StoreFolder = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Check seal and signature, load the model and replay its golden samples."""
    from tocsin.workflows.using.stores import Source
    from tocsin.workflows.using.verify import verify_artifact

    facts = verify_artifact(Source(artifact, store, key, require_signature))
    if json:
        emit_json(facts)
        return
    emit_table("Verified", ["what", "value"], [(k, str(v)) for k, v in facts.items()])


@serving.command()
def serve(
    artifacts: Annotated[
        list[str],
        typer.Argument(help="artifact folders, or detector@alias in --store: champion and challenger too"),
    ],
    host: Annotated[str | None, typer.Option(help="address to listen on [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="port; 0 picks a free one [8000]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="server processes [1]")] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
) -> None:
    """Answer HTTP requests, without torch. TOCSIN_* variables set the same options, and more."""
    from tocsin.workflows.using.serve import serve_artifacts
    from tocsin.workflows.using.stores import Source

    options = {"host": host, "port": port, "workers": workers}
    serve_artifacts([Source(a, store, key) for a in artifacts], key, options)


@serving.command()
def bench(
    artifact: ArtifactFolder,
    count: Annotated[int, typer.Option(min=10, help="single predictions to time")] = 1000,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Time single predictions and batches of 100 of a sealed model: mean, p50, p95, p99."""
    from tocsin.workflows.using.bench import bench_artifact
    from tocsin.workflows.using.stores import Source

    result = bench_artifact(Source(artifact, store, key), count)
    if json:
        emit_json(result)
        return
    columns = ["what", "calls", "mean ms", "p50 ms", "p95 ms", "p99 ms", "rows/s"]
    emit_table("In this process, one thread", columns, result.rows)
    emit_line(result.summary)
