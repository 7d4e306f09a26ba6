"""The arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(help="recipe (YAML)", show_default=False)]
ArtifactFolder = Annotated[
    str, typer.Argument(help="artifact folder, or detector@alias in --store", show_default=False)
]
DataFiles = Annotated[
    list[str], typer.Argument(help="CSV, Parquet or JSON lines; paths or URLs", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="change a key of the recipe, such as model.width=64")
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
        min=0, max=7, help="score that every section must reach, with nothing failed; 0 skips the score [2]"
    ),
]
Attest = Annotated[
    list[str] | None, typer.Option(help="ID=NAME:DATE:STATEMENT of a person, worth half a point")
]
EvidenceFiles = Annotated[
    list[str] | None, typer.Option(help="ID=FILE from another run or program, such as I2=junit.xml")
]
DEFAULT_STORE = Path("store")
