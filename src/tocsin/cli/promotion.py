"""The verbs that let a sealed model into use, and take it out again: keys, scorecard, aliases."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import (
    DEFAULT_STORE,
    ArtifactFolder,
    Attest,
    Bar,
    EvidenceFiles,
    Json,
    LabelledFiles,
    PublicKey,
    StoreFolder,
)
from tocsin.cli.output import emit_json, emit_line, emit_table, say
from tocsin.core.errors import CheckFailed

promotion = typer.Typer()


@promotion.command()
def keygen(
    folder: Annotated[Path, typer.Argument(help="folder for signing.pem and signing.pub.pem")],
) -> None:
    """Make an Ed25519 key pair to sign artifacts with."""
    from tocsin.workflows.using.stores import make_key_files

    for path in make_key_files(folder):
        emit_line(f"wrote {path}")


@promotion.command()
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
    from tocsin.workflows.readiness.ready import ReadyOptions, check_ready
    from tocsin.workflows.using.stores import Source

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


@promotion.command()
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
    """Put a ready artifact into the store and point an alias at it; exit 1 if it is not ready."""
    from tocsin.workflows.readiness.promotion import promote_artifact
    from tocsin.workflows.readiness.ready import ReadyOptions
    from tocsin.workflows.using.stores import Source

    options = ReadyOptions.of(data, layout, None, evidence, bar)
    emit_line(promote_artifact(Source(str(artifact), store, key), alias, options, tell=say))


@promotion.command()
def rollback(
    detector: Annotated[str, typer.Argument(help="detector whose alias goes back")],
    alias: Annotated[str, typer.Option(help="champion or challenger")] = "champion",
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Point an alias back at its previous version."""
    from tocsin.workflows.using.stores import rollback_alias

    emit_line(rollback_alias(detector, alias, store))
