"""The program: its verbs, in the order of `tocsin --help`, and the exit code of each kind of error."""

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tocsin import __version__
from tocsin.cli.output import emit_line, say
from tocsin.cli.promotion import promotion
from tocsin.cli.proof import proof
from tocsin.cli.rows import rows
from tocsin.cli.serving import serving
from tocsin.cli.training import training
from tocsin.core.errors import InputError, TocsinError, Told
from tocsin.core.plugins import verb_modules

EXTRAS = {
    "polars": "data",
    "fsspec": "data",
    "torch": "train",
    "sklearn": "train",
    "mlflow": "track",
    "onnxruntime": "serve",
    "transformers": "pretrained",
    "starlette": "serve",
    "publicsuffixlist": "serve",
}
"""A module whose absence means that an extra was not installed -> the extra."""


class Verbs(TyperGroup):
    """The verbs of the program, and those that detectors add: found by their files, imported when they are needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return every verb, those of detectors last."""
        return [*super().list_commands(ctx), *self._added()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a verb; what tocsin itself has comes first."""
        return super().get_command(ctx, cmd_name) or self._added().get(cmd_name)

    def _added(self) -> dict[str, Any]:
        """Return verb -> command; InputError where two detectors, or one and tocsin, want the same word."""
        found: dict[str, Any] = {}
        owner = dict.fromkeys(self.commands, "tocsin")
        for detector, module in verb_modules().items():
            group = typer.main.get_group(import_module(module).verbs)
            for name, command in group.commands.items():
                if name in owner:
                    raise InputError(
                        f"two verbs are called {name!r}: that of {owner[name]} and of {detector}"
                    )
                owner[name], found[name] = detector, command
        return found


app = typer.Typer(
    name="tocsin",
    cls=Verbs,
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
