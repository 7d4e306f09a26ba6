"""The verbs under `tocsin data`."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import Json
from tocsin.cli.output import emit_json, emit_line, say

rows = typer.Typer(help="Work on data files.", no_args_is_help=True)


@rows.command("add")
def data_add(
    file: Annotated[Path, typer.Argument(help="CSV with the new rows", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="CSV to append them to", show_default=False)],
    detector: Annotated[
        str, typer.Option(help="detector whose schema the rows must fit", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, write nothing")] = False,
    json: Json = False,
) -> None:
    """Append new labelled rows to a CSV file: check schema and duplicates, keep the old file."""
    from tocsin.workflows.using.additions import add_samples

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
