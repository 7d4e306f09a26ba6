"""The verbs that make a model: data, recipe, audit, training."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import Json, RecipeFile, Sets
from tocsin.cli.output import emit_json, emit_line, emit_table, say
from tocsin.core.errors import CheckFailed

training = typer.Typer()


@training.command()
def demo(
    detector: Annotated[str, typer.Option(help="which detector")] = "intrusion",
    output: Annotated[Path, typer.Option(help="folder for what it makes")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="seed of the made data and of the model")] = 42,
    only_data: Annotated[bool, typer.Option("--only-data", help="make the data and stop")] = False,
    json: Json = False,
) -> None:
    """Make data, then audit, train, evaluate, package, serve a request and write a report."""
    if only_data:
        from tocsin.workflows.training.made import make_data

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


@training.command()
def new(
    detector: Annotated[str, typer.Argument(help="which detector")],
    path: Annotated[Path, typer.Argument(help="recipe to write")],
    schema: Annotated[bool, typer.Option(help="write the JSON Schema for editors beside it")] = False,
) -> None:
    """Write a complete, commented recipe."""
    from tocsin.workflows.training.recipes import write_recipe

    for written in write_recipe(detector, path, schema=schema):
        emit_line(f"wrote {written}")


@training.command()
def audit(recipe: RecipeFile, sets: Sets = None, json: Json = False) -> None:
    """Check the data before any training; exit 1 when a check finds an error."""
    from tocsin.workflows.training.audit import audit_recipe

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


@training.command()
def train(
    recipe: RecipeFile,
    sets: Sets = None,
    seeds: Annotated[str | None, typer.Option(help="comma-separated; replaces the recipe's")] = None,
    resume: Annotated[bool, typer.Option(help="continue from the newest checkpoint")] = False,
    force: Annotated[bool, typer.Option(help="start over in an existing run folder")] = False,
    variants: Annotated[bool, typer.Option(help="also train the recipe's variants")] = True,
    key: Annotated[
        Path | None, typer.Option(help="private key (PEM) to sign with", envvar="TOCSIN_SIGNING_KEY")
    ] = None,
    json: Json = False,
) -> None:
    """Split, fit every stage, prove on the test rows beside the baselines, and seal the artifact."""
    from tocsin.engine.crew import leads
    from tocsin.workflows.training.summary import fold_rows, model_rows
    from tocsin.workflows.training.train import TrainOptions, train_recipe

    chosen = [*(sets or []), *([f"seeds=[{seeds}]"] if seeds else [])]
    result = train_recipe(recipe, chosen, TrainOptions(resume, force, variants, key), tell=say)
    if not leads():
        return
    if json:
        emit_json(result)
        return
    proof = result.proof
    shown = list(proof.columns.values())
    for run in result.runs:
        rows = model_rows(run.evaluation, shown)
        emit_table(f"{run.fold}, seed {run.seed}", ["model", *proof.columns], rows)
        for sentence in proof.sentences(run.evaluation):
            emit_line(sentence)
        emit_line(f"report:   {run.report}\nartifact: {run.artifact}\n")
    if len(result.runs) > 1:
        runs = [(run.fold, run.seed, run.evaluation) for run in result.runs]
        emit_table(
            "All runs: the model and the best other one",
            ["fold", "seed", "model", *proof.columns],
            fold_rows(runs, shown),
        )
