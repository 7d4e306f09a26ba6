"""The program: its verbs, in the order of `tocsin --help`, and the exit code of each kind of error."""

import os
import sys
from typing import Annotated

import typer

from tocsin import __version__
from tocsin.cli.output import emit_line, say
from tocsin.cli.promotion import promotion
from tocsin.cli.proof import proof
from tocsin.cli.rows import rows
from tocsin.cli.serving import serving
from tocsin.cli.training import training
from tocsin.core.errors import InputError, TocsinError, Told

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

app = typer.Typer(
    name="tocsin",
    help="Trains, proves, ships and watches security models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for group in (training, proof, serving, promotion):
    app.add_typer(group)
app.add_typer(rows, name="data")


def main() -> None:
    """Run the program; a TocsinError becomes one line on stderr and its exit code."""
    try:
        app()
    except Told as error:
        sys.exit(error.exit_code)
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
