"""The verbs."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tocsin import __version__
from tocsin.cli.output import emit_json, emit_line, emit_record, emit_table, say
from tocsin.core.errors import FOUND, CheckFailed, InputError, TocsinError

app = typer.Typer(
    name="tocsin",
    help="Trains, proves, ships and watches security models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

data_app = typer.Typer(help="Work on data files.", no_args_is_help=True)
app.add_typer(data_app, name="data")

RecipeFile = Annotated[Path, typer.Argument(help="recipe (YAML)", show_default=False)]
ArtifactFolder = Annotated[
    str, typer.Argument(help="artifact folder, or detector@alias in --store", show_default=False)
]
DataFiles = Annotated[
    list[str], typer.Argument(help="CSV, Parquet or JSON lines; paths or URLs", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="key=value over the recipe, such as model.width=64")
]
PublicKey = Annotated[
    Path | None, typer.Option("--key", help="public key (PEM); the signature must match it")
]
StoreFolder = Annotated[
    Path, typer.Option("--store", help="folder of versions and aliases", envvar="TOCSIN_STORE")
]
LabelledFiles = Annotated[
    list[str] | None, typer.Option("--data", help="labelled rows, for the lines that need them")
]
Bar = Annotated[
    float | None,
    typer.Option(
        min=0, max=7, help="least score of every section, and nothing failed; 0 asks for nothing [2]"
    ),
]
Attest = Annotated[
    list[str] | None, typer.Option(help="ID=NAME:DATE:STATEMENT of a person, worth half a point")
]
EvidenceFiles = Annotated[
    list[str] | None, typer.Option(help="ID=FILE, what another run or program wrote, such as I2=junit.xml")
]
EXTRAS = {
    "polars": "data",
    "fsspec": "data",
    "torch": "train",
    "sklearn": "train",
    "mlflow": "track",
    "onnxruntime": "serve",
    "transformers": "pretrained",
    "fastapi": "serve",
}
"""A module whose absence means that an extra was not installed -> the extra."""
DEFAULT_STORE = Path("store")


def main() -> None:
    """Run the program; a TocsinError becomes one line on stderr and its exit code."""
    try:
        app()
    except TocsinError as error:
        say(f"tocsin: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        say(f"tocsin: {named}{error.strerror or error}")
        sys.exit(InputError.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        say(f"tocsin: this verb needs {error.name}, which is not installed: pip install 'tocsin[{extra}]'")
        sys.exit(InputError.exit_code)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Trains, proves, ships and watches security models."""
    if version:
        emit_line(__version__)
        raise typer.Exit
    from tocsin.core.logs import configure

    configure(os.environ.get("TOCSIN_LOG_LEVEL", "warning"), json="TOCSIN_LOG_LEVEL" in os.environ)


@app.command()
def demo(
    detector: Annotated[str, typer.Option(help="which detector")] = "intrusion",
    output: Annotated[Path, typer.Option(help="folder for what it makes")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="seed of the made data and of the model")] = 42,
    only_data: Annotated[bool, typer.Option("--only-data", help="make the data and stop")] = False,
    json: Json = False,
) -> None:
    """Make data, then audit, train, evaluate, package, serve a request and write a report."""
    if only_data:
        from tocsin.workflows.made import make_data

        emit_line(f"wrote {make_data(detector, output, seed)}")
        return
    from tocsin.workflows.demo import run_demo

    result = run_demo(detector, output, seed, tell=say)
    if json:
        emit_json(result)
        return
    emit_line(f"\nReport to open:  {result.report}\nArtifact:        {result.artifact}\n")
    emit_line("Try next, on your own data:")
    for command in result.next_commands:
        emit_line(f"  {command}")


@app.command()
def new(
    detector: Annotated[str, typer.Argument(help="which detector")],
    path: Annotated[Path, typer.Argument(help="recipe to write")],
    schema: Annotated[bool, typer.Option(help="write the JSON Schema for editors beside it")] = False,
) -> None:
    """Write a complete, commented recipe."""
    from tocsin.workflows.recipes import write_recipe

    for written in write_recipe(detector, path, schema=schema):
        emit_line(f"wrote {written}")


@app.command()
def audit(recipe: RecipeFile, sets: Sets = None, json: Json = False) -> None:
    """Check the data before any training; exit 1 when a check finds an error."""
    from tocsin.workflows.audit import audit_recipe

    report = audit_recipe(recipe, sets or [], tell=say)
    if json:
        emit_json(report)
    else:
        rows = [
            (f.severity, f.name, f.message + (f"\n→ {f.action}" if f.action else "")) for f in report.findings
        ]
        emit_table("Audit", ["severity", "check", "what was found → what to do"], rows)
    if report.failed:
        raise CheckFailed(f"the audit found {report.failed} error(s)")


@app.command()
def train(
    recipe: RecipeFile,
    sets: Sets = None,
    seeds: Annotated[str | None, typer.Option(help="comma-separated, in place of the recipe's")] = None,
    resume: Annotated[bool, typer.Option(help="go on from the newest checkpoint")] = False,
    force: Annotated[bool, typer.Option(help="start over in a run folder that exists")] = False,
    variants: Annotated[bool, typer.Option(help="also train the recipe's variants")] = True,
    key: Annotated[
        Path | None, typer.Option(help="private key (PEM) to sign with", envvar="TOCSIN_SIGNING_KEY")
    ] = None,
    json: Json = False,
) -> None:
    """Split, fit every stage, prove on the test rows beside the baselines, and seal the artifact."""
    from tocsin.metrics.comparison import conclude
    from tocsin.metrics.recommendation import recommend_simpler
    from tocsin.workflows.summary import COLUMNS, fold_rows, model_rows
    from tocsin.workflows.train import TrainOptions, train_recipe

    chosen = [*(sets or []), *([f"seeds=[{seeds}]"] if seeds else [])]
    result = train_recipe(recipe, chosen, TrainOptions(resume, force, variants, key), tell=say)
    if json:
        emit_json(result)
        return
    for run in result.runs:
        emit_table(f"{run.fold}, seed {run.seed}", ["model", *COLUMNS], model_rows(run.evaluation))
        for sentence in (*conclude(run.evaluation), *recommend_simpler(run.evaluation)):
            emit_line(sentence)
        emit_line(f"report:   {run.report}\nartifact: {run.artifact}\n")
    if len(result.runs) > 1:
        runs = [(run.fold, run.seed, run.evaluation) for run in result.runs]
        emit_table(
            "All runs: the model and the best other one", ["fold", "seed", "model", *COLUMNS], fold_rows(runs)
        )


@app.command()
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
    from tocsin.workflows.evaluate import evaluate_artifact
    from tocsin.workflows.stores import Source

    result = evaluate_artifact(Source(artifact, store, key), data, layout, output)
    if json:
        emit_json(result)
        return
    emit_table(
        f"{result.artifact} on {len(data)} file(s), {result.rows:,} rows",
        ["metric", "value", "low", "high"],
        result.metric_rows,
    )
    emit_table("Slices", ["slice", "value", "rows", "recall", "false positives"], result.slice_rows)


@data_app.command("add")
def data_add(
    file: Annotated[Path, typer.Argument(help="CSV with the new rows", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="CSV that they go to", show_default=False)],
    detector: Annotated[str, typer.Option(help="whose schema the rows must fit")] = "phishing",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, write nothing")] = False,
    json: Json = False,
) -> None:
    """Append new labelled rows to a CSV file: schema and duplicates checked, the old file kept."""
    from tocsin.workflows.additions import add_samples

    done = add_samples(file, to, detector, dry_run)
    if json:
        emit_json(done)
        return
    for repeat in done["left_out"]:
        dispute = ", but is labelled otherwise: which is right?" if repeat["is_disputed"] else ""
        say(f"{repeat['row']}: repeats {repeat['of']} ({repeat['kind']}){dispute}")
    kept = f", old file kept as {done['backup']}" if done["backup"] else ""
    emit_line(
        f"{to}: {done['rows_before']:,} rows, {done['added']:,} {'would be ' if dry_run else ''}added, "
        f"{done['exact_duplicates']:,} exact and {done['near_duplicates']:,} near duplicates left out{kept}"
    )


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="artifact A: folder, or detector@alias in --store")],
    second: Annotated[str, typer.Argument(help="artifact B")],
    data: Annotated[list[str], typer.Option("--data", help="labelled rows; may be given several times")],
    layout: Annotated[str, typer.Option(help="the publisher's file layout")] = "auto",
    smallest: Annotated[
        float, typer.Option(min=1e-6, max=1, help="smallest difference in ROC-AUC, recall and F1 of interest")
    ] = 0.01,
    every_row: Annotated[bool, typer.Option(help="also rows that a model was trained on")] = False,
    resamples: Annotated[int, typer.Option(min=400, max=100_000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 42,
    output: Annotated[Path | None, typer.Option(help="folder for compare.json and compare.html")] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Say which of two sealed models is better on the same rows: better, worse, no evidence or under-powered."""
    from tocsin.workflows.compare import CompareOptions, compare_artifacts
    from tocsin.workflows.compare_page import write_comparison
    from tocsin.workflows.stores import Source

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


@app.command()
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
    """Compute a reported number again from the artifact and the data; exit 1 when it is not the same."""
    from tocsin.workflows.replay import replay as replay_numbers
    from tocsin.workflows.stores import Source

    result = replay_numbers(Source(artifact, store, key), metric, data)
    if json:
        emit_json(result)
    else:
        title = f"{result.rows:,} test rows: {result.found}"
        emit_table(title, ["number", "reported", "computed again", "answer"], result.table)
    if not result.same:
        different = [number.metric for number in result.numbers if not number.same]
        raise CheckFailed(f"{', '.join(different)}: not what was reported")


@app.command()
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
    from tocsin.workflows.predict import predict_rows
    from tocsin.workflows.stores import Source

    summary = predict_rows(Source(artifact, store, key), data, output, layout=layout, explain=explain)
    if json and output:
        emit_json(summary)
    elif output:
        emit_line(
            f"{summary['rows']:,} rows, {summary['positive']:,} {summary['label']}, "
            f"{summary['refused']:,} refused -> {output}"
        )


@app.command()
def scan(
    targets: Annotated[
        list[str],
        typer.Argument(help="files or folders; - reads stdin", metavar="TARGET", show_default=False),
    ],
    artifact: Annotated[
        str, typer.Option(help="artifact folder, or detector@alias in --store")
    ] = "phishing@champion",
    form: Annotated[str, typer.Option("--format", help="table, jsonl, ocsf or ecs")] = "table",
    explain: Annotated[int, typer.Option(min=0, help="strongest reasons per positive target")] = 3,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Give a verdict on raw files: mail as .eml, mbox or Maildir; exit 10 when one is positive."""
    from tocsin.workflows.scan import FORMATS, Scan, check_format
    from tocsin.workflows.stores import Source

    check_format(form)
    run = Scan(Source(artifact, store, key), targets, explain)
    findings = list(run.findings()) if json else run.findings()
    if json:
        emit_json(run.document(findings))
    else:
        for kind, content in FORMATS[form](run, findings):
            {"record": emit_record, "line": emit_line, "note": say}[kind](content)
    if run.positive:
        raise typer.Exit(FOUND)
    if run.refused:
        raise InputError(f"{run.refused} of {run.targets} target(s) could not be read")


@app.command()
def verify(
    artifact: ArtifactFolder,
    key: PublicKey = None,
    require_signature: Annotated[bool, typer.Option(help="refuse an unsigned artifact")] = False,
    store: StoreFolder = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Check seal and signature, load the model and replay its golden samples."""
    from tocsin.workflows.stores import Source
    from tocsin.workflows.verify import verify_artifact

    facts = verify_artifact(Source(artifact, store, key, require_signature))
    if json:
        emit_json(facts)
        return
    emit_table("Verified", ["what", "value"], [(k, str(v)) for k, v in facts.items()])


@app.command()
def serve(
    artifacts: Annotated[list[str], typer.Argument(help="artifact folders, or detector@alias in --store")],
    host: Annotated[str | None, typer.Option(help="address to listen on [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="port; 0 picks a free one [8000]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="server processes [1]")] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
) -> None:
    """Answer HTTP requests; no torch in the process. Settings also by TOCSIN_* variables."""
    from tocsin.workflows.serve import serve_artifacts
    from tocsin.workflows.stores import Source

    options = {"host": host, "port": port, "workers": workers}
    serve_artifacts([Source(a, store, key) for a in artifacts], key, options)


@app.command()
def bench(
    artifact: ArtifactFolder,
    count: Annotated[int, typer.Option(min=10, help="single predictions to time")] = 1000,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Time single predictions and batches of 100 of a sealed model: mean, p50, p95, p99."""
    from tocsin.workflows.bench import bench_artifact
    from tocsin.workflows.stores import Source

    result = bench_artifact(Source(artifact, store, key), count)
    if json:
        emit_json(result)
        return
    columns = ["what", "calls", "mean ms", "p50 ms", "p95 ms", "p99 ms", "rows/s"]
    emit_table("In this process, one thread", columns, result.rows)
    emit_line(result.summary)


@app.command()
def keygen(
    folder: Annotated[Path, typer.Argument(help="folder for signing.pem and signing.pub.pem")],
) -> None:
    """Make an Ed25519 key pair to sign artifacts with."""
    from tocsin.workflows.stores import make_key_files

    for path in make_key_files(folder):
        emit_line(f"wrote {path}")


@app.command()
def ready(
    artifact: ArtifactFolder,
    data: LabelledFiles = None,
    layout: Annotated[str, typer.Option(help="the publisher's file layout of --data")] = "auto",
    bar: Bar = None,
    attest: Attest = None,
    evidence: EvidenceFiles = None,
    output: Annotated[
        Path | None, typer.Option(help="folder [beside the artifact, ending in .ready]")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
    json: Json = False,
) -> None:
    """Score readiness for production, every line with its evidence; exit 1 below the bar."""
    from tocsin.workflows.ready import ReadyOptions, check_ready
    from tocsin.workflows.stores import Source

    options = ReadyOptions.of(data, layout, attest, evidence, bar)
    result = check_ready(Source(artifact, store, key), options, output, tell=say)
    card = result.scorecard
    if json:
        emit_json(result)
    else:
        rows = [(line.id, line.status, f"{line.title}\n  {line.message}") for line in card.lines]
        emit_table(f"Readiness of {card.name}", ["", "status", "line, and what was found"], rows)
        sections = [(name, score, result.bar) for name, score in card.sections.items()]
        emit_table("Sections", ["section", "score of 7", "bar"], sections)
        emit_line(f"final score {card.final:g}: {card.band}\n{result.folder}/ready.html")
    if result.shortfalls:
        raise CheckFailed(f"not ready: {'; '.join(result.shortfalls)}")


@app.command()
def promote(
    artifact: Annotated[Path, typer.Argument(help="artifact folder")],
    alias: Annotated[str, typer.Option(help="champion or challenger")] = "champion",
    bar: Bar = None,
    data: LabelledFiles = None,
    layout: Annotated[str, typer.Option(help="the publisher's file layout of --data")] = "auto",
    evidence: EvidenceFiles = None,
    store: StoreFolder = DEFAULT_STORE,
    key: PublicKey = None,
) -> None:
    """Put an artifact that is ready into the store and point an alias at it; exit 1 where it is not."""
    from tocsin.workflows.promotion import promote_artifact
    from tocsin.workflows.ready import ReadyOptions
    from tocsin.workflows.stores import Source

    options = ReadyOptions.of(data, layout, None, evidence, bar)
    emit_line(promote_artifact(Source(str(artifact), store, key), alias, options, tell=say))


@app.command()
def rollback(
    detector: Annotated[str, typer.Argument(help="whose alias goes back to what it named before")],
    alias: Annotated[str, typer.Option(help="champion or challenger")] = "champion",
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Point an alias back at the version before."""
    from tocsin.workflows.stores import rollback_alias

    emit_line(rollback_alias(detector, alias, store))
